"""The registry as plain HTTP sees it: the tests' own eyes and hands, independent of every client library."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import httpx

Document = dict[str, Any]
HOST = "127.0.0.1"


class Registry:
    """Base URL ``http://host:port``. Every write must be answered as the real agent answers it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/v1", timeout=15)

    def close(self) -> None:
        self._http.close()

    def register(self, service: str, port: int, **more: Any) -> None:
        """An instance without checks: it stays, passing."""
        body = {"Name": service, "ID": f"{service}-{port}", "Address": HOST, "Port": port, **more}
        answer = self._http.put("/agent/service/register", json=body)
        assert (answer.status_code, answer.text) == (200, ""), (body, answer.status_code, answer.text[:500])

    def deregister(self, service: str, port: int) -> None:
        answer = self._http.put(f"/agent/service/deregister/{service}-{port}")
        assert (answer.status_code, answer.text) == (200, ""), (service, port, answer.status_code, answer.text[:500])

    def entries(self, service: str, **query: Any) -> dict[int, Document]:
        """What health/service answers, by port."""
        return {one["Service"]["Port"]: one for one in self.read(f"health/service/{service}", **query)}

    def ports(self, service: str, **query: Any) -> set[int]:
        return set(self.entries(service, **query))

    def statuses(self, service: str) -> dict[int, str]:
        """The worst status of each instance, by port."""
        rank = ("passing", "warning", "critical")
        return {
            port: max((check["Status"] for check in entry["Checks"]), key=rank.index)
            for port, entry in self.entries(service).items()
        }

    def put(self, key: str, value: str, **query: Any) -> bool:
        answer = self._http.put(f"/kv/{key}", content=value, params=query)
        assert answer.status_code == 200, (key, answer.status_code, answer.text[:500])
        done: bool = answer.json()
        return done

    def entry(self, key: str) -> Document | None:
        """An entry with its value as text."""
        answer = self._http.get(f"/kv/{key}")
        assert int(answer.headers["X-Consul-Index"]) > 0
        if answer.status_code == 404:
            assert answer.content == b""
            return None
        assert answer.status_code == 200, (key, answer.status_code, answer.text[:500])
        [found] = answer.json()
        return {**found, "Value": b64decode(found["Value"] or "").decode()}

    def delete(self, key: str, **query: Any) -> None:
        answer = self._http.delete(f"/kv/{key}", params=query)
        assert (answer.status_code, answer.text) == (200, "true"), (key, answer.status_code, answer.text[:500])

    def session(self, **body: Any) -> str:
        answer = self._http.put("/session/create", json=body)
        assert answer.status_code == 200, (body, answer.status_code, answer.text[:500])
        found: str = answer.json()["ID"]
        return found

    def read(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET."""
        answer = self._http.get(f"/{path}", params=query)
        assert answer.status_code == 200, (path, query, answer.status_code, answer.text[:500])
        return answer.json()
