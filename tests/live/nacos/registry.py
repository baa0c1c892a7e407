"""The registry as plain HTTP sees it: the tests' own eyes and hands, independent of every client library."""

from __future__ import annotations

import json
from typing import Any

import httpx

Document = dict[str, Any]
HOST = "127.0.0.1"
LASTS = {"preserved.heart.beat.timeout": "900000", "preserved.ip.delete.timeout": "900000"}
"""Metadata of a registration that nobody renews."""


def grouped(service: str, group: str) -> str:
    return f"{group}@@{service}"


class Registry:
    """Base URL ``http://host:port/nacos``. Every write must be answered as the real server answers it."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self._account = {"username": user, "password": password} if user else {}
        self._http = httpx.Client(base_url=url, timeout=10)

    def close(self) -> None:
        self._http.close()

    def register(self, service: str, port: int, group: str = "DEFAULT_GROUP", **more: Any) -> None:
        """An instance that stays for the time of the tests. ``metadata`` is added to what makes it stay."""
        metadata = {**LASTS, **more.pop("metadata", {})}
        self._write("POST", service, port, group, metadata=json.dumps(metadata), **more)

    def deregister(self, service: str, port: int, group: str = "DEFAULT_GROUP", **more: Any) -> None:
        self._write("DELETE", service, port, group, **more)

    def change(self, service: str, port: int, group: str = "DEFAULT_GROUP", **more: Any) -> None:
        """Lays values over what the client registered; what is not named stays."""
        if "metadata" in more:
            more["metadata"] = json.dumps(more["metadata"])
        more = {"cluster": more.pop("clusterName", "DEFAULT"), **more}
        self._write("PATCH", service, port, group, **more)

    def instances(self, service: str, group: str = "DEFAULT_GROUP", **more: Any) -> dict[int, Document]:
        """Listed instances by port."""
        answer = self.read("v1/ns/instance/list", serviceName=grouped(service, group), **more)
        assert answer["name"] == grouped(service, group)
        return {one["port"]: one for one in answer["hosts"]}

    def ports(self, service: str, group: str = "DEFAULT_GROUP", **more: Any) -> set[int]:
        return set(self.instances(service, group, **more))

    def read(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET."""
        answer = self._http.get(f"/{path}", params={**query, **self._account})
        assert answer.status_code == 200, (path, query, answer.status_code, answer.text[:500])
        return answer.json()

    def _write(self, method: str, service: str, port: int, group: str, **more: Any) -> None:
        values = {"serviceName": grouped(service, group), "ip": HOST, "port": port, **more, **self._account}
        answer = self._http.request(method, "/v1/ns/instance", params=values)
        assert (answer.status_code, answer.text) == (200, "ok"), (method, values, answer.status_code, answer.text[:500])
