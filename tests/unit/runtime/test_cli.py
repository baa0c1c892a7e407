"""The command line: what is passed on, what is refused, and with which exit code."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from polaris_bridge import __version__
from polaris_bridge.cli import app


class Runtime:
    """Stands where the server would start."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.code = 0

    def run(self, **arguments: Any) -> int:
        self.calls.append(arguments)
        return self.code


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runtime:
    standing = Runtime()
    module = types.ModuleType("polaris_bridge.runtime.process")
    module.run = standing.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "polaris_bridge.runtime.process", module)
    monkeypatch.chdir(tmp_path)
    return standing


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_serve_without_options_takes_the_packaged_file(runtime: Runtime) -> None:
    assert invoke("serve").exit_code == 0
    assert runtime.calls == [{"config": None, "data": Path("data"), "listen": None, "port_offset": 0, "sets": []}]


def test_serve_takes_the_file_of_the_working_directory(runtime: Runtime) -> None:
    Path("conf").mkdir()
    Path("conf/polaris-server.yaml").write_text("")
    invoke("serve")
    assert runtime.calls[0]["config"] == Path("conf/polaris-server.yaml")


def test_serve_passes_everything_on(runtime: Runtime) -> None:
    Path("other.yaml").write_text("")
    words = "serve --config other.yaml --data d --listen ::1 --port-offset 1000 --set a.b=c --set d.*.e=x=y"
    assert invoke(*words.split()).exit_code == 0
    assert runtime.calls == [
        {
            "config": Path("other.yaml"), "data": Path("d"), "listen": "::1", "port_offset": 1000,
            "sets": ["a.b=c", "d.*.e=x=y"],
        }
    ]  # fmt: skip


def test_the_servers_code_is_the_exit_code(runtime: Runtime) -> None:
    runtime.code = 3
    assert invoke("serve").exit_code == 3


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("serve --config absent.yaml", "absent.yaml"),
        ("serve --listen localhost", "127.0.0.1"),
        ("serve --port-offset -1", "--port-offset"),
        ("serve --set novalue", "a.b.c=value"),
        ("serve --set =value", "a.b.c=value"),
        ("check-config absent.yaml", "absent.yaml"),
        ("check-config", "FILE"),
        ("unknown", "unknown"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(runtime: Runtime, words: str, named: str) -> None:
    result = invoke(*words.split())
    assert result.exit_code == 2
    assert named.lower() in result.output.lower()
    assert runtime.calls == []


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["x.yaml:3: naming.autocreate: unknown key"], 1)])
def test_check_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problems: list[str], code: int) -> None:
    module = types.ModuleType("polaris_bridge.runtime.config")
    module.check = lambda path: problems  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "polaris_bridge.runtime.config", module)
    file = tmp_path / "x.yaml"
    file.write_text("")
    result = invoke("check-config", str(file))
    assert result.exit_code == code
    assert result.stderr.splitlines() == problems
    assert result.stdout == ("" if problems else f"{file}: ok\n")


def test_version_names_program_schema_and_claims() -> None:
    result = invoke("version")
    assert result.exit_code == 0
    facts = dict(line.split(maxsplit=1) for line in result.stdout.replace("database schema", "schema").splitlines())
    assert facts["polaris-bridge"] == __version__
    assert facts["schema"].isdigit()
    assert facts["eureka"]


def test_the_module_is_the_command_and_starts_without_rich() -> None:
    code = "import sys; sys.argv = ['x', '--help']; import polaris_bridge.cli as c\ntry: c.main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('rich', 'sqlalchemy', 'starlette', 'prometheus_client') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "check-config" in subprocess.run(
        [sys.executable, "-m", "polaris_bridge", "--help"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
