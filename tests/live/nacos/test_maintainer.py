"""The operators' library of 3.x (nacos-maintainer-client 3.1.0): each of its calls about naming and the server.

Three of its calls fail against every server of 3.x, because it reads their answers without the envelope that they have: selector
types, the list of clients, the health checkers. They are left out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking
from ..server import Server
from .conftest import RUN
from .programs import MAINTAINER

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
SERVICE = f"maintained-{RUN}"


@pytest.fixture(scope="module")
def said(server: Server) -> Mapping[str, Any]:
    """What each call came to."""
    try:
        MAINTAINER.ready()
    except MissingToolsError as missing:
        lacking(str(missing))
    except BuildFailedError as failed:
        pytest.fail(str(failed), pytrace=False)
    done = subprocess.run(
        [*MAINTAINER.command, f"127.0.0.1:{server.port}", SERVICE],
        cwd=MAINTAINER.source / "target",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_no_call_fails_but_that_for_what_is_gone(said: Mapping[str, Any]) -> None:
    failed = {name: answer for name, answer in said.items() if isinstance(answer, dict) and "failed" in answer}
    assert list(failed) == ["nobody"], failed
    assert "resource not found" in failed["nobody"]["failed"] or "404" in failed["nobody"]["failed"]


def test_the_server(said: Mapping[str, Any]) -> None:
    assert said["liveness"] is True
    assert said["state"]["startup_mode"] == "standalone"
    [node] = said["nodes"]
    assert node["state"] == "UP"
    assert said["load"]["memberCount"] == 1
    assert said["metrics"]["status"] == "UP"


def test_namespaces(said: Mapping[str, Any]) -> None:
    space = f"space-{SERVICE}"
    assert (said["namespaceMade"], said["namespaceChanged"], said["namespaceDeleted"]) == (True, True, True)
    assert said["namespace"]["namespaceShowName"] == "Space"
    shown = {one["namespace"]: one["namespaceShowName"] for one in said["namespaces"]}
    assert (shown["public"], shown[space]) == ("public", "Spaces")


def test_instances(said: Mapping[str, Any]) -> None:
    [one] = said["instances"]
    assert (one["ip"], one["port"], one["clusterName"], one["weight"]) == ("127.0.0.1", 8080, "c1", 0.5)
    assert said["instance"]["metadata"] == {"zone": "a"}
    updated = {"updated": ["127.0.0.1:8080:unknown:c1:ephemeral"]}
    assert (said["metadata"], said["metadataGone"]) == (updated, updated)


def test_services(said: Mapping[str, Any]) -> None:
    service = said["service"]
    assert (service["metadata"], service["protectThreshold"]) == ({"team": "shop"}, 0.5)
    assert service["clusterMap"]["c1"]["healthChecker"]["type"] == "HTTP"
    [row] = said["services"]["pageItems"]
    assert (row["name"], row["ipCount"], row["healthyInstanceCount"]) == (SERVICE, 1, 1)
    [detail] = said["details"]["pageItems"]
    assert detail["clusterMap"]["c1"]["hosts"][0]["port"] == 8080


def test_clients(said: Mapping[str, Any]) -> None:
    id = "127.0.0.1:8080#true"
    assert (said["client"]["clientId"], said["client"]["clientType"]) == (id, "ipPort")
    [published] = [one for one in said["publishes"] if one["serviceName"] == SERVICE]
    assert published["publisherInfo"]["clusterName"] == "c1"
    assert [one["clientId"] for one in said["publishers"]] == [id]
