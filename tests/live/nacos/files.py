"""Configuration as plain HTTP sees it, and what clients were told of it: the tests' own eyes and hands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx

from ..waiting import until
from .members import LISTENS_WITHIN_S, NOTICES_WITHIN_S, TOLD_WITHIN_S, Member
from .registry import Document

GROUP = "DEFAULT_GROUP"


class Files:
    """Base URL ``http://host:port/nacos``. Every write must be answered as the real server answers it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)

    def close(self) -> None:
        self._http.close()

    def publish(self, file: str, content: str, *, betas: str = "", **more: str) -> None:
        """``betas``: addresses of those whom alone it is for."""
        values = {"dataId": file, "group": GROUP, "content": content, **more}
        answer = self._http.post("/v1/cs/configs", data=values, headers={"betaIps": betas} if betas else {})
        assert (answer.status_code, answer.text) == (200, "true"), (answer.status_code, answer.text[:500])

    def content(self, file: str, **more: str) -> str | None:
        answer = self._http.get("/v1/cs/configs", params={"dataId": file, "group": GROUP, **more})
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        return answer.text

    def remove(self, file: str, **more: str) -> None:
        answer = self._http.delete("/v1/cs/configs", params={"dataId": file, "group": GROUP, **more})
        assert (answer.status_code, answer.text) == (200, "true"), (answer.status_code, answer.text[:500])

    def stop_beta(self, file: str) -> None:
        answer = self._http.delete("/v1/cs/configs", params={"dataId": file, "group": GROUP, "beta": "true"})
        assert answer.json() == {"code": 200, "message": "stop beta ok", "data": True}, answer.text[:500]

    def listeners(self, file: str) -> dict[str, str]:
        """MD5 sums by address."""
        answer = self._http.get("/v1/cs/configs/listener", params={"dataId": file, "group": GROUP})
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        found: dict[str, str] = answer.json()["lisentersGroupkeyStatus"]
        return found


class Hearing:
    """A member that listens to files, with what it was told since it was last asked."""

    def __init__(self, files: Files, member: Member, *names: str, **more: str) -> None:
        self.member, self._names, self._more = member, names, more
        self._files = files
        self._read = 0
        member.ask("listen", names[0], files=list(names), **more)

    def close(self) -> None:
        """Listens no more. What is changed once more ends the poll that is under way: the next one need not wait for it."""
        self.member.ask("mute", self._names[0], files=list(self._names), **self._more)
        self._files.publish(self._names[0], "over")

    def listens(self) -> None:
        """Returns as soon as the server knows that it listens to the last of its files."""
        until(lambda: self._files.listeners(self._names[-1]), LISTENS_WITHIN_S, f"{self.member.name} listens")

    def all(self) -> list[Document]:
        """What callbacks were given; npm's begins with what it found, also when it is nothing."""
        told: list[Document] = self.member.ask("told", self._names[0], **self._more)["changes"]
        return told[1:] if told and not told[0]["content"] else told

    def skip(self) -> None:
        """What was told so far is no news."""
        self._read = len(self.all())

    def hears(self, content: str, file: str = "", within_s: float = NOTICES_WITHIN_S) -> Document:
        """Returns as soon as this content was told; "": the file's end."""
        wanted = file or self._names[0]

        def news() -> Document | None:
            fresh = self.all()[self._read :]
            return next((one for one in fresh if (one["file"], one["content"]) == (wanted, content)), None)

        return until(news, within_s, f"{self.member.name} is told that {wanted} is {content!r}")

    def expect(self, came: Callable[[], Any], content: str, file: str = "") -> None:
        """Does something, and sees that the library is told within ``TOLD_WITHIN_S``."""
        self.skip()
        came()
        since_ms = time.time() * 1000
        late_s = (self.hears(content, file)["at"] - since_ms) / 1000
        assert late_s < TOLD_WITHIN_S, f"{self.member.name} is told of {content!r} after {late_s:.1f} s"


def reads(member: Member, file: str, **more: str) -> str | None:
    """The content that the library gives; None: there is none."""
    content: str | None = member.ask("content", file, **more).get("content")
    return content


def see(member: Member, file: str, content: str | None, within_s: float = NOTICES_WITHIN_S, **more: str) -> None:
    """Returns as soon as the library gives this content."""
    until(
        lambda: json.dumps(reads(member, file, **more)) == json.dumps(content),
        within_s,
        f"{member.name} reads {content!r}",
    )


def asked(metrics: str, operations: tuple[str, ...]) -> int:
    """How often something was asked for, by the text of ``/metrics``."""
    found = 0
    for line in metrics.splitlines():
        match = re.match(r"polaris_bridge_requests_total\{(.*)\} (\d+)", line)
        if match and any(f'operation="{operation}"' in match[1] for operation in operations):
            found += int(match[2])
    return found
