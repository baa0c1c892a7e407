"""The HTTP API as the console uses it: the tests' own eyes and hands, independent of every client library."""

from __future__ import annotations

from typing import Any

import httpx

# Of the user that every new installation of the real server has.
TOKEN = "nu/0WRA4EqSR1FagrjRj0fZwPXuGlMpX+zCuWu4uMqy8xr1vRjisSbA25aAC3mtU8MeeRsKhQiDAynUR09I="
SUCCESS = 200000
UNCHANGED = 200002

Document = dict[str, Any]


class Console:
    """Base URL ``http://host:port``. Every write must be answered with success."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=10, headers={"X-Polaris-Token": TOKEN})

    def close(self) -> None:
        self._http.close()

    def read(self, path: str, **query: Any) -> Document:
        """The answer of a GET."""
        answer = self._http.get(path, params=query)
        assert answer.status_code == 200, (path, query, answer.status_code, answer.text[:500])
        document: Document = answer.json()
        return document

    def post(self, path: str, item: Document) -> Document:
        """Sends a single item; the answer as it is."""
        document: Document = self._http.post(path, json=item).json()
        return document

    def put(self, path: str, item: Document) -> Document:
        """Changes a single item; the answer as it is."""
        document: Document = self._http.put(path, json=item).json()
        return document

    def write(self, method: str, path: str, *items: Document) -> list[Document]:
        """Sends a batch; the answers of its items."""
        answer = self._http.request(method, path, json=items)
        document: Document = answer.json()
        assert document["code"] in (SUCCESS, UNCHANGED), (method, path, items, answer.text[:1000])
        return list(document.get("responses", []))

    def instances(self, service: str, namespace: str = "default") -> dict[int, Document]:
        """All instances of a service by port."""
        found = self.read("/naming/v1/instances", service=service, namespace=namespace, limit=100)
        return {one["port"]: one for one in found["instances"]}

    def register(self, service: str, port: int, namespace: str = "default", **fields: Any) -> None:
        """An instance without a health check: it stays until it is deleted."""
        key = {"service": service, "namespace": namespace, "host": "127.0.0.1", "port": port}
        self.write("POST", "/naming/v1/instances", key | fields)

    def change(self, service: str, port: int, **fields: Any) -> None:
        key = {"service": service, "namespace": "default", "host": "127.0.0.1", "port": port}
        self.write("PUT", "/naming/v1/instances", key | fields)

    def delete(self, service: str, *ports: int, namespace: str = "default") -> None:
        keys = [{"service": service, "namespace": namespace, "host": "127.0.0.1", "port": port} for port in ports]
        self.write("POST", "/naming/v1/instances/delete", *keys)

    def add_rule(self, kind: str, rule: Document) -> str:
        """Creates a rule and answers its id. ``kind`` is the path of its collection."""
        created = self.write("POST", kind, rule)[0]
        wrapped = next(created[key] for key in ("data", "rateLimit", "circuitBreakerRule", "id") if created.get(key))
        return str(wrapped["id"] if isinstance(wrapped, dict) else wrapped)

    def remove_rule(self, kind: str, rule_id: str) -> None:
        self.write("POST", f"{kind}/delete", {"id": rule_id})
