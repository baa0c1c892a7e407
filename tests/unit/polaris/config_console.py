"""The console of the configuration centre in a bottle: ciphers, parsers, and short names for what tests ask again and again."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, Final
from urllib.parse import urlencode

from http_world import UniqueIds, World

from polaris_bridge.adapters._shared.exchange import Response
from polaris_bridge.adapters.polaris.server.http import NativeHttp
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.configcentre import equip

OK: Final = 200000
G: Final = "/config/v1/configfilegroups"
F: Final = "/config/v1/configfiles"
R: Final = "/config/v1/configfiles/release"
T: Final = "/config/v1/configfiletemplates"
NAMES: Final = {"namespace": "d", "group": "g", "file_name": "a.yaml"}
KEY: Final = FileKey("d", "g", "a.yaml")
ENV: Final = [{"key": "env", "value": {"type": "EXACT", "value": "test"}}]


class Console(World):
    """A server's native HTTP port, with everything that configuration files need."""

    def __init__(
        self, settings: PolarisSettings | None = None, terms: Terms | None = None, *, encrypt: bool = True
    ) -> None:
        self.settings = settings or PolarisSettings()
        self._encrypt = encrypt
        super().__init__(terms)

    def open(self) -> None:
        """See ``World``."""
        equip(self.registry.config, None, self._encrypt)
        self.centre = self.registry.config
        self.service = PolarisService(
            self.registry, OpenDoor(), self.settings, ids=UniqueIds(), pairs={}, locate=lambda _host: None
        )
        self.http = NativeHttp(self.service.routes(), self.service.admission)

    # ------------------------------------------------------------------ short names

    def file(self, content: str = "a: 1", name: str = "a.yaml", code: int = OK, **more: Any) -> Any:
        """Create a file."""
        body = {"namespace": "d", "group": "g", "name": name, "content": content, **more}
        answer = self.call("POST", F, body)
        assert answer["code"] == code, answer
        return answer

    def change(self, content: str, name: str = "a.yaml", code: int = OK, **more: Any) -> Any:
        """Change the draft of a file."""
        answer = self.call("PUT", F, {"namespace": "d", "group": "g", "name": name, "content": content, **more})
        assert answer["code"] == code, answer
        return answer

    def publish(self, name: str = "", code: int = OK, **more: Any) -> Any:
        """Release a draft."""
        answer = self.call("POST", R, {**NAMES, "name": name, **more})
        assert answer["code"] == code, answer
        return answer["configFileRelease"]

    def got(self, name: str = "a.yaml") -> Any:
        """A file as the console sees it."""
        answer = self.get(F, namespace="d", group="g", name=name)
        assert answer["code"] == OK, answer
        return answer["configFile"]

    def release(self, name: str = "") -> Any:
        """A release; None when there is none."""
        answer = self.get(R, **NAMES, release_name=name)
        assert answer["code"] == OK, answer
        return answer["configFileRelease"]

    def get(self, path: str, **query: str) -> Any:
        """The document that answers a query."""
        return self.call("GET", f"{path}?{urlencode(query)}")

    def served(self) -> tuple[bytes, int] | None:
        """What a client without labels gets: content and version."""
        seen = self.centre.reading.resolve(KEY)
        return None if seen is None else (seen.content, seen.version)

    def upload(self, archive: bytes, *, filename: str = "config.zip", field: str = "config", **query: str) -> Response:
        """Import an archive."""
        head = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"'
        body = b"--mark\r\n" + head.encode() + b"\r\n\r\n" + archive + b"\r\n--mark--\r\n"
        kind = {"content-type": "multipart/form-data; boundary=mark"}
        return self.send("POST", f"{F}/import?{urlencode(query)}", body, kind)


def zipped(files: dict[str, str | bytes], metas: dict[str, Any] | None = None) -> bytes:
    """An archive as somebody uploads it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        if metas is not None:
            archive.writestr("META", json.dumps(metas))
    return out.getvalue()


def unzipped(response: Response) -> dict[str, str]:
    """What is in an archive that was exported."""
    assert isinstance(response.body, bytes)
    with zipfile.ZipFile(io.BytesIO(response.body)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
