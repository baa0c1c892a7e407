"""A real MariaDB on a free port, with an account for checks; ended with its test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pymysql

from ...conftest import lacking
from ...server import free_port
from ...waiting import until

ANSWERS_WITHIN_S = 30
USER, PASSWORD = "checker", "it's a secret"
SMALL = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:4M:autoextend")


class MariaDb:
    """One process of ``mariadbd`` that keeps its port and its data over restarts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder / f"mariadb-{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start (on data made at the first start) and wait until it answers."""
        server, maker = (_program(name) for name in ("mariadbd", "mariadb-install-db"))
        account = pwd.getpwuid(os.getuid()).pw_name
        common = ("--no-defaults", f"--datadir={self._folder / 'data'}", f"--user={account}", *SMALL)
        fresh = not self._folder.exists()
        if fresh:
            self._folder.mkdir()
            made = (maker, *common, "--auth-root-authentication-method=normal", "--skip-test-db")
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        own = (f"--port={self.port}", "--bind-address=127.0.0.1", "--socket=s.sock", "--skip-name-resolve")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen((server, *common, *own, "--skip-log-bin"), stdout=log, stderr=log)
        until(self._answers, ANSWERS_WITHIN_S, f"mariadb at port {self.port} answers")
        if fresh:
            made_user = f"CREATE USER '{USER}'@'%' IDENTIFIED BY \"{PASSWORD}\""
            self.say(made_user, "CREATE DATABASE things", f"GRANT SELECT ON things.* TO '{USER}'@'%'")

    def say(self, *statements: str) -> None:
        """As its administrator."""
        with closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)

    def kill(self) -> None:
        """As if its machine had lost power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text(errors="replace")[-4000:]
        with suppress(pymysql.err.MySQLError):
            self.say("SELECT 1")
            return True
        return False


def _program(name: str) -> str:
    """Where the operating system has a server's program: not always on the path of people."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        lacking(f"{name} is not installed")
    return found
