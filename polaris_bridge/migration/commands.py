"""``polaris-bridge registry``, ``migrate`` and ``sync``: a server's desk from the command line, over its HTTP API.

Exit codes: 0 ok, 1 error, 2 wrong usage, 3 difference or not ready. Needs nothing but the standard library and typer.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

ROOT: Final = "/migration/v1"
DEFAULT_SERVER: Final = "http://127.0.0.1:8090"
SERVER_VARIABLE: Final = "POLARIS_BRIDGE_SERVER"
TOKEN_VARIABLE: Final = "POLARIS_BRIDGE_TOKEN"
NOT_READY: Final = 3
PATIENCE_S: Final = 600.0
"""A plan of a slow registry may take minutes."""
WATCH_S: Final = 2.0

Server = Annotated[str, typer.Option(envvar=SERVER_VARIABLE, help="Main HTTP port of the server")]
Output = Annotated[str, typer.Option("-o", "--output", help="table or json")]
Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
TaskId = Annotated[str, typer.Argument(metavar="TASK", show_default=False)]


def _app(help: str) -> typer.Typer:
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


registry = _app("Registries elsewhere.")
migrate = _app("Plan, apply, compare and finish migrations between registries.")
sync = _app("Pause and resume the synchronisation of a task.")


# ---------------------------------------------------------------------- asking


def ask(server: str, method: str, path: str, body: Any = None) -> Any:
    """One call. Ends the program with 1 when it fails, with 3 when it is refused for now."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    token = os.environ.get(TOKEN_VARIABLE)  # never an option: these are seen by everybody on the machine
    if token:
        headers["x-polaris-token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.rstrip('/')}{ROOT}{path}", data, headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        _fail(_said(error), NOT_READY if error.code == 409 else 1)
    except (OSError, ValueError) as error:
        _fail(f"{server} does not answer: {error}; name another one with --server or {SERVER_VARIABLE}", 1)


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answers {error.code}"


def _fail(text: str, code: int) -> Any:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(code)


# ---------------------------------------------------------------------- showing


def show(value: Any, output: str, rows: Callable[[Any], tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> None:
    """A value as JSON, or as the table that ``rows`` makes of it (head, lines)."""
    if output == "json":
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    if output != "table":
        raise typer.BadParameter(f"{output!r}: expected table or json", param_hint="-o")
    head, lines = rows(value)
    table = [list(head), *([_text(cell) for cell in line] for line in lines)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.1f}"
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell)) or "-"
    return str(cell) if cell not in ("", None) else "-"


def _since(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if ms else ""


def _pairs(values: Sequence[str] | None, option: str) -> dict[str, str]:
    """``a=b`` values. Wrong usage when one is none."""
    found = {}
    for value in values or ():
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{value!r}: write it as name=value", param_hint=option)
        found[key] = text
    return found


def _at(kind: str, id: str) -> str:
    return f"/{kind}/{quote(id, safe='')}"


# ---------------------------------------------------------------------- registry


@registry.command("add")
def add(
    id: Id,
    kind: Annotated[str, typer.Option(help="eureka, nacos, consul or polaris")],
    address: Annotated[list[str], typer.Option(help="Base URL; may be repeated")],
    user: Annotated[str, typer.Option(help="User of a Nacos or Eureka server")] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the password or token; - reads it from the standard input")
    ] = None,
    namespace: Annotated[
        list[str] | None, typer.Option(metavar="THERE=HERE", help="Namespace or datacenter to read, and ours for it")
    ] = None,
    ca_file: Annotated[str, typer.Option(help="Certificates to believe, on the server's disk")] = "",
    poll: Annotated[float, typer.Option(help="Seconds between questions for changes")] = 5.0,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Make a registry known, or change it."""
    spec: dict[str, Any] = {
        "id": id,
        "kind": kind,
        "addresses": address,
        "user": user,
        "namespaces": _pairs(namespace, "--namespace"),
        "ca_file": ca_file,
        "poll_s": poll,
    }
    if secret_file is not None:
        try:
            text = sys.stdin.read() if str(secret_file) == "-" else secret_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            _fail(f"{secret_file} cannot be read: {error}", 1)
        spec["secret"] = text.strip()
    show(ask(server, "POST", "/registries", spec), output, lambda r: _registries([r]))


def _registries(found: Sequence[Mapping[str, Any]]) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    head = ("ID", "KIND", "ADDRESSES", "USER", "SECRET")
    return head, [(r["id"], r["kind"], r["addresses"], r["user"], r["secret"]) for r in found]


@registry.command("list")
def list_registries(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Every registry that is known; this server itself is the registry `here`."""
    show(ask(server, "GET", "/registries")["registries"], output, _registries)


@registry.command("test")
def probe(id: Id, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Whether a registry answers and takes the credentials."""
    found = ask(server, "POST", f"{_at('registries', id)}/test")
    show(found, output, lambda a: (("REGISTRY", "ADDRESS", "VERSION"), [(id, a["address"], a["version"])]))


@registry.command("remove")
def remove(id: Id, server: Server = DEFAULT_SERVER) -> None:
    """Forget a registry that no task uses."""
    ask(server, "DELETE", _at("registries", id))


# ---------------------------------------------------------------------- migrate


@migrate.command()
def inventory(id: Id, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """What stands in a registry, and what would not survive the way to another kind."""
    found = ask(server, "GET", f"{_at('registries', id)}/inventory")
    head = ("SERVICE", "INSTANCES", "UP", "NATIVE")
    show(
        found,
        output,
        lambda i: (head, [(s["service"], s["instances"], s["up"], s["natives"]) for s in i["services"]]),
    )
    if output == "table":
        typer.echo(f"\n{found['instances']} instances, {found['natives']} of them registered there themselves")
        for product, count in found["bridges"].items():
            typer.echo(f"another bridge: {count} copies made by {product}")
        for kind, refused in found["illegal"].items():
            for service, why in refused.items():
                typer.echo(f"not to {kind}: {service}: {why}")
        for kind, lost in found["lossy"].items():
            for what, count in lost.items():
                typer.echo(f"on the way to {kind}: {count} instances lose or change {what}")


@migrate.command()
def plan(
    task: TaskId,
    source: Annotated[str, typer.Option("--from", help="Registry to copy from; makes the task")] = "",
    target: Annotated[str, typer.Option("--to", help="Registry to copy to; here = this server")] = "",
    service: Annotated[list[str] | None, typer.Option(help="Pattern of services; may be repeated")] = None,
    namespace: Annotated[list[str] | None, typer.Option(help="Pattern of namespaces; may be repeated")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Pattern of services left out")] = None,
    rename: Annotated[list[str] | None, typer.Option(metavar="OLD=NEW", help="Another name in the target")] = None,
    chain: Annotated[bool, typer.Option(help="Copy other products' copies too")] = False,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Show what a task would do now, and keep it to be applied. With --from and --to the task is made, or changed."""
    if bool(source) != bool(target):
        raise typer.BadParameter("give both --from and --to, or neither")
    if source:
        patterns = (("services", service), ("namespaces", namespace), ("exclude", exclude))
        selector = {name: given for name, given in patterns if given}
        names = {"services": _pairs(rename, "--rename")}
        spec = {"id": task, "source": source, "target": target, "selector": selector, "names": names, "chain": chain}
        ask(server, "POST", "/tasks", spec)
    found = ask(server, "POST", f"{_at('tasks', task)}/plan")
    show(found, output, lambda p: (("ACTION", "SERVICE", "INSTANCE", "AT", "WHY"), map(_step, p["steps"])))
    if output == "table":
        typer.echo("\n" + ", ".join(f"{count} to {action}" for action, count in found["counts"].items()))
        for old, new in found["renamed"].items():
            typer.echo(f"renamed: {old} is {new} there")
        for refused, why in found["refused"].items():
            typer.echo(f"refused: {refused}: {why}")
        typer.echo(f"digest {found['digest']}")


def _step(step: Mapping[str, Any]) -> Sequence[Any]:
    instance = (step["copy"] or step["record"])["instance"]
    origin = (step["copy"] or step["record"])["origin"] or {"id": ""}
    why = step["reason"] or ", ".join(step["fields"])
    place = f"{instance['host']}:{instance['port']}"
    return step["action"], "/".join(step["service"]), origin["id"], place, why


@migrate.command()
def apply(
    task: TaskId,
    digest: Annotated[str, typer.Option(help="Of the plan that was reviewed")] = "",
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Do exactly what the plan says, and keep both sides equal from then on. Stops when anything changed since."""
    found = ask(server, "POST", f"{_at('tasks', task)}/apply", {"digest": digest})
    show(found, output, lambda a: (("ACTION", "DONE"), list(a["done"].items())))
    for failed in found["failed"]:
        typer.echo(f"failed: {failed}", err=True)
    if found["failed"]:
        raise typer.Exit(1)


@migrate.command()
def status(
    task: Annotated[str, typer.Argument(metavar="[TASK]", show_default=False)] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again")] = False,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """How tasks fare: stage, progress, differences, what waits."""
    while True:
        found = [ask(server, "GET", _at("tasks", task))] if task else ask(server, "GET", "/tasks")["tasks"]
        show(found, output, _statuses)
        if output == "table":
            for one in found:
                _troubles(one)
        if not watch:
            return
        time.sleep(WATCH_S)


def _statuses(found: Sequence[Mapping[str, Any]]) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    head = ("TASK", "FROM", "TO", "STAGE", "RUNS", "EQUAL", "COPIES", "DIFFER", "HELD", "CLEAN SINCE")
    rows = [
        (
            s["task"]["id"],
            s["task"]["source"],
            s["task"]["target"],
            s["task"].get("stage", "discovered"),
            s["running"],
            f"{s['services_equal']}/{s['services']}",
            s["copies"],
            s["differences"],
            s["held"],
            _since(s["clean_since_ms"]),
        )
        for s in found
    ]
    return head, rows


def _troubles(one: Mapping[str, Any]) -> None:
    id = one["task"]["id"]
    if one["stale_since_ms"]:
        typer.echo(f"{id}: the source has not answered since {_since(one['stale_since_ms'])}; nothing is removed")
    if one["target_lost_ms"]:
        typer.echo(f"{id}: the target has not answered since {_since(one['target_lost_ms'])}")
    if one["asks"]:
        typer.echo(f"{id}: {one['held']} removals wait; let them be done with: polaris-bridge migrate allow {id}")
    for service, why in one["refused"].items():
        typer.echo(f"{id}: {service} is not copied: {why}")
    if one["error"]:
        typer.echo(f"{id}: {one['error']}")
    if one["next_stage"]:
        against = "; ".join(one["objections"]) or "nothing is in the way"
        typer.echo(f"{id}: before {one['next_stage']}: {against}")


@migrate.command()
def verify(task: TaskId, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Compare both sides now and name every difference. Exit code 3 when there is one."""
    found = ask(server, "POST", f"{_at('tasks', task)}/verify")
    head = ("SERVICE", "INSTANCE", "WHAT", "FIELDS", "ON ITS WAY", "SINCE")
    show(
        found,
        output,
        lambda a: (
            head,
            [
                (d["service"], d["id"], d["kind"], d["fields"], d["in_flight"], _since(d["since_ms"]))
                for d in a["differences"]
            ],
        ),
    )
    if output == "table":
        typer.echo(f"\n{found['equal']} of {len(found['services'])} services are equal")
    if found["differences"]:
        raise typer.Exit(NOT_READY)


@migrate.command()
def allow(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """Let the removals that wait be done."""
    ask(server, "POST", f"{_at('tasks', task)}/allow")


@migrate.command()
def promote(
    task: TaskId,
    force: Annotated[bool, typer.Option(help="In spite of what speaks against it")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Enter the next stage. Exit code 3 with everything that speaks against it."""
    found = ask(server, "POST", f"{_at('tasks', task)}/promote", {"force": force})
    typer.echo(f"{task}: {found['stage']}")


@migrate.command()
def rollback(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """Go back to the stage before."""
    found = ask(server, "POST", f"{_at('tasks', task)}/rollback")
    typer.echo(f"{task}: {found['stage']}")


@migrate.command()
def retire(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """Enter the last stage: the copies that are left are withdrawn. Exit code 3 while the task is not drained."""
    found = ask(server, "GET", _at("tasks", task))
    if found["next_stage"] != "retired":
        _fail(f"task {task} is {found['task'].get('stage', 'discovered')}, not drained", NOT_READY)
    ask(server, "POST", f"{_at('tasks', task)}/promote", {"force": False})


@migrate.command("remove")
def remove_task(
    task: TaskId,
    copies: Annotated[str, typer.Option(help="withdraw, adopt or leave what the task copied")] = "withdraw",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Forget a task."""
    found = ask(server, "DELETE", f"{_at('tasks', task)}?copies={quote(copies)}")
    typer.echo(f"{task} is gone; {found['copies']} copies: {copies}")


@migrate.command()
def declare(
    file: Annotated[Path, typer.Argument(help="YAML with registries and tasks", exists=True, dir_okay=False)],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Make the registries and tasks of a file known, or change them. Secrets are read from files (secret_file)."""
    import yaml

    try:
        said = yaml.safe_load(file.read_text("utf-8")) or {}
        if not isinstance(said, dict) or said.keys() - {"registries", "tasks"}:
            raise ValueError("expected registries and tasks")
        registries, tasks = list(said.get("registries") or ()), list(said.get("tasks") or ())
        for entry in registries:
            if "secret" in entry:
                raise ValueError("a secret does not belong into this file: name a file with secret_file")
            if "secret_file" in entry:
                entry["secret"] = Path(entry.pop("secret_file")).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError, TypeError, yaml.YAMLError) as error:
        _fail(f"{file}: {error}", 1)
    for entry in registries:
        typer.echo(f"registry {ask(server, 'POST', '/registries', entry)['id']}")
    for task in tasks:
        typer.echo(f"task {ask(server, 'POST', '/tasks', task)['id']}")


_RUNBOOK: Final = (
    ("look", "migrate inventory {source}; polaris-bridge migrate inventory {target}", ""),
    ("plan, and review it", "migrate plan {task}", ""),
    ("copy {source} to {target}", "migrate apply {task} --digest <digest>", "migrate remove {task}"),
    ("wait until both sides have been equal for 15 minutes", "migrate status {task} --watch", ""),
    ("copy back, so that applications may move in any order",
     "migrate plan {task}-back --from {target} --to {source}; polaris-bridge migrate apply {task}-back; "
     "polaris-bridge migrate promote {task}", "migrate remove {task}-back; polaris-bridge migrate rollback {task}"),
    ("let one consumer read from {target} and compare what it sees", "migrate verify {task}", "point it back"),
    ("move the other consumers", "migrate promote {task}", "migrate rollback {task}"),
    ("move the providers: copies become hidden behind what registers itself", "migrate promote {task}",
     "migrate rollback {task}"),
    ("when nothing has registered in {source} for a day", "migrate promote {task}", "migrate rollback {task}"),
    ("retire: the copies are withdrawn", "migrate retire {task}", ""),
)  # fmt: skip


@migrate.command()
def runbook(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """The way from the first look to the end, with the names of a task and the way back beside every step."""
    spec = ask(server, "GET", _at("tasks", task))["task"]
    names = {"task": task, "source": spec["source"], "target": spec["target"]}
    for number, (what, how, back) in enumerate(_RUNBOOK, 1):
        typer.echo(f"{number}. {what.format(**names)}\n     polaris-bridge {how.format(**names)}")
        if back:
            said = back.format(**names)
            typer.echo(f"   back: {said if back.startswith('point') else f'polaris-bridge {said}'}")


# ---------------------------------------------------------------------- sync


@sync.command()
def pause(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """Write nothing more; copies are kept alive."""
    ask(server, "POST", f"{_at('tasks', task)}/pause")


@sync.command()
def resume(task: TaskId, server: Server = DEFAULT_SERVER) -> None:
    """Go on."""
    ask(server, "POST", f"{_at('tasks', task)}/resume")
