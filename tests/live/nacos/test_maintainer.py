"""The operators' library of 3.x (nacos-maintainer-client 3.1.0): each of its calls about naming, configurations and the server.

Three of its calls fail against every server of 3.x, because it reads their answers without the envelope that they have: selector
types, the list of clients, the health checkers. They are left out, and so are log levels, which are not set through Nacos here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from ..conftest import build
from ..server import Server
from .conftest import RUN
from .programs import MAINTAINER

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
SERVICE = f"maintained-{RUN}"


@pytest.fixture(scope="module")
def said(server: Server) -> Mapping[str, Any]:
    """What each call came to."""
    build(MAINTAINER)
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
    assert list(failed) == ["nobody", "configGone"], failed
    for name, answer in failed.items():
        assert "resource not found" in answer["failed"] or "404" in answer["failed"], name


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


def test_configurations(said: Mapping[str, Any]) -> None:
    assert (said["configPublished"], said["configAgain"], said["configDescribed"]) == (True, True, True)
    config = said["config"]
    assert (config["namespaceId"], config["groupName"], config["content"]) == ("public", "DEFAULT_GROUP", "a: 1")
    assert (config["appName"], config["createUser"], config["configTags"], config["desc"], config["type"]) == (
        "shop",
        "ann",
        "t1,t2",
        "first",
        "yaml",
    )
    for name in ("configs", "configsLike", "configsByContent"):
        [row] = said[name]["pageItems"]
        assert (row["dataId"], row["id"]) == (f"{SERVICE}.yaml", config["id"]), name
    assert f"{SERVICE}.yaml" in [row["dataId"] for row in said["configsOfSpace"]]
    assert said["configListeners"]["queryType"] == "config"
    assert said["configsListenedTo"]["queryType"] == "ip"
    assert (said["configDeleted"], said["configCache"]) == (True, "Local cache updated from store successfully!")


def test_beta_of_configurations(said: Mapping[str, Any]) -> None:
    assert (said["betaPublished"], said["betaStopped"]) == (True, True)
    beta = said["beta"]
    assert (beta["content"], beta["grayName"]) == ("a: 3", "beta")
    assert json.loads(beta["grayRule"])["expr"] == "1.2.3.4"


def test_history_of_configurations(said: Mapping[str, Any]) -> None:
    rows = [(row["opType"].strip(), row["publishType"]) for row in said["history"]["pageItems"]]
    assert rows == [("D", "gray"), ("I", "gray"), ("U", "formal"), ("U", "formal"), ("I", "formal")]
    assert (said["historyRow"]["content"], said["historyRow"]["grayName"]) == ("a: 3", "beta")
    assert said["historyBefore"]["id"] == said["historyRow"]["id"]


def test_clones_of_configurations(said: Mapping[str, Any]) -> None:
    assert said["configCloned"] == {"succCount": 1, "skipCount": 0}
    assert (said["configCopy"]["content"], said["configCopy"]["groupName"]) == ("a: 2", "copies")
    assert said["configsDeleted"] is True
