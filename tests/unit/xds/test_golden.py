"""Rules in, resources of Envoy and of gRPC clients out: the files in ``golden`` say which.

``<case>.json`` is what stands in the registry and who looks at what; ``<case>.out.json`` what they are sent. ``GOLDEN=write``
writes the latter anew, to be read before it is committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from worlds import Bottle, decoded, node, somewhere

from polaris_bridge.adapters.polaris.service.governance import governance
from polaris_bridge.adapters.polaris.service.rules.kinds import KINDS
from polaris_bridge.adapters.xds.node import ENVOY, GRPC
from polaris_bridge.adapters.xds.translate.checks import defects
from polaris_bridge.adapters.xds.wire import types

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.name.endswith(".out.json"))
NAMED = {short: type_url for type_url, short in types.SHORT.items()}
KIND = {kind.name: kind for kind in KINDS}


def resources(case: dict[str, Any]) -> dict[str, Any]:
    """What everybody is sent."""
    b = Bottle(governance)
    for name, more in case.get("services", {}).items():
        b.record(name, **more)
    for each in case["instances"]:
        given = dict(each)
        place = somewhere(*given.pop("location", ()))
        b.put(given.pop("service", "shop"), given.pop("host"), given.pop("port", 8080), location=place, **given)
    for name, rules in case["rules"].items():
        for rule in rules:
            b.rule(KIND[name], rule)
    found: dict[str, Any] = {}
    for kind, wanted in case["see"].items():
        view = b.world.view(
            node(
                ENVOY if kind.startswith("envoy") else GRPC,
                case.get("metadata", {}),
                locality=somewhere(*case.get("place", ())),
                run_type=case.get("run_type", "sidecar"),
            )
        )
        for short, names in wanted.items():
            for name in names:
                message = decoded(NAMED[short], view.read(NAMED[short], name))
                content = MessageToDict(message, preserving_proto_field_name=True)
                assert list(defects(NAMED[short], content)) == []
                found.setdefault(kind, {}).setdefault(short, {})[name] = content
    found["problems"] = sorted(dict.fromkeys(text for _, _, text in b.reported.problems))
    return found


@pytest.mark.parametrize("name", CASES)
def test_rules_become_these_resources(name: str) -> None:
    case = json.loads((FOLDER / f"{name}.json").read_text())
    expected = FOLDER / f"{name}.out.json"
    found = resources(case)
    if os.environ.get("GOLDEN") == "write":
        expected.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    assert found == json.loads(expected.read_text())


def test_there_are_cases() -> None:
    assert len(CASES) >= 6
