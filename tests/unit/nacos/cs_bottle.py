"""A Nacos HTTP port in a bottle with words for what operators do with configurations, and for uploads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from every_generation import Everything
from http_bottle import Answer

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.core.config.model import Change, FileKey
from polaris_bridge.core.model import Caller

NATIVE = Caller("polaris", "10.0.0.2", "admin")
GROUP = "DEFAULT_GROUP"
V1, V2, ADMIN, CONSOLE = "/v1/cs/configs", "/v2/cs/config", "/v3/admin/cs", "/v3/console/cs"
BOUNDARY = "xxBOUNDxx"


def form_of(parts: Mapping[str, str | bytes]) -> bytes:
    """A form of several parts; bytes are files."""
    out = b""
    for name, value in parts.items():
        file = '; filename="a.zip"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        out += head.encode() + content + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def zipped(*files: tuple[str, str | bytes]) -> bytes:
    """An archive as somebody else packs it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    """What is in an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class ConfigBottle(Everything):
    """The port."""

    def publish_config(self, data_id: str, content: str, **more: object) -> None:
        """A publication over v1, that succeeds."""
        headers = {name: str(more.pop(name)) for name in ("betaIps", "casMd5") if name in more}
        form = {"dataId": data_id, "group": GROUP, "content": content} | more
        lower = {name.lower(): value for name, value in headers.items()}
        answer = self.ask("POST", f"/nacos{V1}", form=form, **lower)
        assert answer.body == b"true", answer
        self.clock.now_ms += 1000

    def get(self, path: str, /, **params: object) -> Any:
        """JSON of a GET that succeeds."""
        answer = self.call("GET", path, **params)
        assert answer.status == 200, answer
        return answer.json

    def remove(self, data_id: str, **more: object) -> None:
        """A removal over v1."""
        assert self.call("DELETE", V1, dataId=data_id, group=GROUP, **more).body == b"true"
        self.clock.now_ms += 1000

    def send(self, path: str, content_type: str, body: bytes, /, **params: object) -> Answer:
        """A POST with a body of some kind."""
        raw = ((b"content-type", content_type.encode()),)
        got: list[Response] = []
        reply = self.http.handle(Request("POST", f"/nacos{path}", urlencode(params), raw, body, "10.9.9.9"))
        if isinstance(reply, Response):
            got.append(reply)
        else:
            reply.then(got.append)
        self.timers.settle()
        assert got, path
        return Answer(got[0])

    def upload(self, path: str, parts: Mapping[str, str | bytes], /, **params: object) -> Answer:
        """A POST with a form of several parts."""
        return self.send(path, f"multipart/form-data; boundary={BOUNDARY}", form_of(parts), **params)

    def id(self, data_id: str, tenant: str = "") -> str:
        """Of a configuration."""
        found: str = self.get(V1, show="all", dataId=data_id, group=GROUP, tenant=tenant)["id"]
        return found

    def space(self, id: str) -> None:
        """Somebody makes a namespace."""
        made = self.call("POST", "/v1/console/namespaces", customNamespaceId=id, namespaceName=id)
        assert made.json is True

    def natively(self, name: str, content: str, *, release: bool = True, group: str = GROUP, **more: Any) -> FileKey:
        """A file made by another protocol."""
        key = FileKey(self.service.spaces.core(""), group, name)
        change = Change(content=content.encode(), **more)
        centre = self.registry.config
        if release:
            centre.releases.publish(key, NATIVE, change=change)
        else:
            centre.files.put(key, change, NATIVE)
        self.timers.settle()
        self.clock.now_ms += 1000
        return key
