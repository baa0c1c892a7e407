"""Made-up configuration files and the calls of Nacos clients about them, over HTTP and gRPC."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from nacos_fleet import payload
from plain_http import Connection

GROUP = "DEFAULT_GROUP"
CONFIGS = "/nacos/v1/cs/configs"
LISTENER = f"{CONFIGS}/listener"
HTTP_HEADERS = {
    "Accept-Charset": "UTF-8",
    "Client-Version": "1.4.8",
    "Client-AppName": "bench",
    "Client-RequestTS": "1795400000000",
    "Client-RequestToken": "5e9bd2dc0f9ff8b7d4dd4d2f8ba22d51",
    "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
    "exConfigInfo": "true",
    "User-Agent": "Nacos-Java-Client:v1.4.8",
    "Accept": "text/html, image/gif, image/jpeg, */*; q=0.2",
}
"""What the Java client 1.4 sends with every call about configurations."""
GREETING = (
    payload("ServerCheckRequest", module="internal"),
    payload(
        "ConnectionSetupRequest",
        clientVersion="Nacos-Java-Client:v2.5.1",
        labels={"source": "sdk", "module": "config", "AppName": "bench", "taskId": "0", "tls.enable": "false"},
        abilityTable={},
        module="internal",
    ),
)
"""What a client says before it asks anything."""


def md5(content: str) -> str:
    """As clients compare contents."""
    return hashlib.md5(content.encode()).hexdigest()


@dataclass(frozen=True)
class File:
    """One file of the public namespace."""

    data_id: str
    size: int = 200
    """Bytes of its content."""

    def content(self, version: int = 0) -> str:
        """YAML, told apart by its version."""
        head = f"version: {version}\nspring.application.name: {self.data_id}\n"
        line = "feature.flag-0000.enabled: true\n"
        return (head + line * (self.size // len(line) + 1))[: max(len(head), self.size)]

    @property
    def target(self) -> str:
        """Of a GET."""
        return f"{CONFIGS}?{urlencode({'dataId': self.data_id, 'group': GROUP, 'tenant': ''})}"

    def form(self, version: int) -> str:
        """That publishes it."""
        said = {"dataId": self.data_id, "group": GROUP, "tenant": "", "type": "yaml", "content": self.content(version)}
        return urlencode(said)

    def publish(self, connection: Connection, version: int = 0) -> None:
        """Over HTTP. RuntimeError when it is refused."""
        answer = connection.call("POST", CONFIGS, HTTP_HEADERS, self.form(version).encode())
        if answer.status != 200 or answer.body != b"true":
            raise RuntimeError(f"publishing {self.data_id} got {answer.status} {answer.body[:200]!r}")

    def context(self, version: int = 0) -> dict[str, str]:
        """What a gRPC client says of a file it listens to."""
        return {"dataId": self.data_id, "group": GROUP, "tenant": "", "md5": md5(self.content(version))}

    def item(self, version: int = 0) -> str:
        """What a long poll says of it."""
        return f"{self.data_id}\x02{GROUP}\x02{md5(self.content(version))}\x01"

    def query(self) -> bytes:
        """A ConfigQueryRequest."""
        return payload("ConfigQueryRequest", dataId=self.data_id, group=GROUP, tenant="", tag=None, module="config")

    def publication(self, version: int) -> bytes:
        """A ConfigPublishRequest."""
        return payload(
            "ConfigPublishRequest", dataId=self.data_id, group=GROUP, tenant="", content=self.content(version), casMd5=None,
            additionMap={"type": "yaml", "appName": "bench"}, module="config",
        )  # fmt: skip


def files(label: str, count: int, size: int = 200) -> list[File]:
    """So many, with names as long as people give them."""
    return [File(f"com.acme.{label}-service-{n:04d}.yaml", size) for n in range(count)]


def publish_all(base: str, wanted: Sequence[File]) -> None:
    """Each in its version 0."""
    with Connection(base) as connection:
        for file in wanted:
            file.publish(connection)


def listen(wanted: Sequence[File]) -> bytes:
    """A ConfigBatchListenRequest."""
    contexts = [file.context() for file in wanted]
    return payload("ConfigBatchListenRequest", listen=True, configListenContexts=contexts, module="config")


def poll(host: str, items: Sequence[str], timeout_ms: int = 300_000) -> bytes:
    """A long poll, as bytes on the wire. It hangs that long less half a second."""
    body = f"Listening-Configs={quote(''.join(items), safe='')}&".encode()
    headers = {**HTTP_HEADERS, "Long-Pulling-Timeout": timeout_ms, "Content-Length": len(body), "Host": host}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {LISTENER} HTTP/1.1\r\n{lines}\r\n".encode() + body


def told_of(file: File) -> bytes:
    """What a poll's answer says of a file that changed."""
    return quote(f"{file.data_id}\x02{GROUP}\x01", safe="").encode()
