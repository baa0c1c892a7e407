"""The command line: parses arguments, then calls the runtime. Whatever is heavy is imported inside the commands.

Exit codes of every command: 0 ok, 1 error, 2 wrong usage, 3 difference or not ready.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final

import typer

from polaris_bridge.migration import commands as migration

CONFIG: Final = Path("conf/polaris-server.yaml")
"""Used when it exists and no other is named; else the file that comes with the package."""

app = typer.Typer(
    name="polaris-bridge",
    help="One service registry that Eureka clients already know how to talk to; Nacos, Consul, Polaris and xDS follow.",
    no_args_is_help=True,
    add_completion=False,
    # rich costs 15 MB and 60 ms that a server start has better uses for
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(migration.registry, name="registry")
app.add_typer(migration.migrate, name="migrate")
app.add_typer(migration.sync, name="sync")


def main() -> None:
    """The console script."""
    app()


def _address(value: str | None) -> str | None:
    if value is not None:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is no IP address; write 127.0.0.1, 0.0.0.0 or ::") from None
    return value


def _settings(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        if not value.partition("=")[0] or "=" not in value:
            raise typer.BadParameter(f"{value!r}: write it as a.b.c=value")
    return values


@app.command()
def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            help=f"Configuration file [default: ./{CONFIG} when it exists, else the packaged one]",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Folder that relative paths (store, logs) lie under", file_okay=False)
    ] = Path("data"),
    listen: Annotated[
        str | None, typer.Option(help="IP address for every listener, instead of its listenIP", callback=_address)
    ] = None,
    port_offset: Annotated[int, typer.Option(help="Added to every port, announced ones too", min=0, max=64_000)] = 0,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="A.B.C=VALUE", help="Override one key of the file; may be repeated", callback=_settings
        ),
    ] = None,
) -> None:
    """Run the server until SIGTERM or SIGINT."""
    from polaris_bridge.runtime.process import run

    code = run(config=config or _default_config(), data=data, listen=listen, port_offset=port_offset, sets=sets or [])
    raise typer.Exit(code)


@app.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(help="Configuration file", exists=True, dir_okay=False, readable=True)],
) -> None:
    """Validate a configuration file: every error with its line, key and what was expected."""
    from polaris_bridge.runtime.config import check

    problems = check(file)
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{file}: ok")


@app.command()
def version() -> None:
    """Show the version, the database schema and the servers that each protocol claims to be."""
    from polaris_bridge.runtime.about import facts

    for name, value in facts():
        typer.echo(f"{name:<16} {value}")


def _default_config() -> Path | None:
    return CONFIG if CONFIG.is_file() else None
