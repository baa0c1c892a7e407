"""The registry as plain HTTP sees it: the tests' own eyes and hands, independent of every client library."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import httpx

Document = dict[str, Any]


def instance_document(
    app: str, instance_id: str, port: int, metadata: dict[str, str], lease_s: int, ip: str = "127.0.0.1"
) -> Document:
    """A registration as a careful client writes it."""
    return {
        "instance": {
            "instanceId": instance_id,
            "hostName": "127.0.0.1",
            "app": app.upper(),
            "ipAddr": ip,
            "status": "UP",
            "port": {"$": port, "@enabled": "true"},
            "securePort": {"$": 443, "@enabled": "false"},
            "vipAddress": app,
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "leaseInfo": {"renewalIntervalInSecs": lease_s // 3, "durationInSecs": lease_s},
            "metadata": metadata,
        }
    }


class Registry:
    """Base URL ``http://host:port/eureka``. Every write must be answered as the real server answers it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(timeout=10)

    def close(self) -> None:
        self._http.close()

    def register(
        self,
        app: str,
        instance_id: str,
        *,
        port: int = 80,
        metadata: dict[str, str] | None = None,
        lease_s: int = 600,
        ip: str = "127.0.0.1",
    ) -> None:
        body = instance_document(app, instance_id, port, metadata or {}, lease_s, ip)
        self._send("POST", f"apps/{app.upper()}", 204, json=body)

    def cancel(self, app: str, instance_id: str) -> None:
        self._send("DELETE", self._path(app, instance_id), 200)

    def override(self, app: str, instance_id: str, status: str) -> None:
        self._send("PUT", f"{self._path(app, instance_id)}/status?value={status}", 200)

    def end_override(self, app: str, instance_id: str, status: str) -> None:
        self._send("DELETE", f"{self._path(app, instance_id)}/status?value={status}", 200)

    def put_metadata(self, app: str, instance_id: str, key: str, value: str) -> None:
        self._send("PUT", f"{self._path(app, instance_id)}/metadata?{key}={value}", 200)

    def all(self) -> dict[str, Document]:
        """Every listed instance by its id (the tests give no id twice)."""
        body = self._get("apps", "application/json").json()
        return {one["instanceId"]: one for app in body["applications"]["application"] for one in app["instance"]}

    def instance(self, instance_id: str) -> Document | None:
        """The listed instance; None when it is not in the list."""
        return self.all().get(instance_id)

    def instance_alone(self, app: str, instance_id: str) -> Document:
        body: dict[str, Document] = self._get(self._path(app, instance_id), "application/json").json()
        return body["instance"]

    def all_in_xml(self) -> dict[str, ElementTree.Element]:
        root = ElementTree.fromstring(self._get("apps", "application/xml").content)
        return {one.findtext("instanceId", ""): one for one in root.iterfind("application/instance")}

    def _path(self, app: str, instance_id: str) -> str:
        return f"apps/{app.upper()}/{quote(instance_id, safe='')}"

    def _get(self, path: str, accept: str) -> httpx.Response:
        answer = self._http.get(f"{self.url}/{path}", headers={"Accept": accept})
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return answer

    def _send(self, method: str, path: str, expected: int, json: Document | None = None) -> None:
        answer = self._http.request(method, f"{self.url}/{path}", json=json)
        assert answer.status_code == expected, (method, path, answer.status_code, answer.text[:500])
