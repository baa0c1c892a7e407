"""A provider and consumer on py-consul or python-consul: orders on standard input, one JSON line of answer each."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import consul

Order = dict[str, Any]
Answer = dict[str, Any]
COMMANDS = (
    *("register", "deregister", "check", "maintain", "instances", "services", "self_", "watch", "changes", "unwatch"),
    *("put", "get", "list_", "keys", "delete", "txn", "session", "renew", "destroy", "acquire", "release"),
    *("fire", "events", "query", "execute"),
)
RANK = {"passing": 0, "warning": 1, "critical": 2}


def view(one: Answer) -> Answer:
    service = one["Service"]
    return {
        "id": service["ID"],
        "node": one["Node"]["Node"],
        "address": service["Address"] or one["Node"]["Address"],
        "port": service["Port"],
        "tags": service["Tags"],
        "meta": service["Meta"] or {},
        "status": aggregated(one["Checks"]),
    }


def aggregated(checks: list[Answer]) -> str:
    if any(check["CheckID"].startswith(("_service_maintenance", "_node_maintenance")) for check in checks):
        return "maintenance"
    return max((check["Status"] for check in checks), key=RANK.__getitem__, default="passing")


def entry(one: Answer | None) -> Answer | None:
    if one is None:
        return None
    return {
        "key": one["Key"],
        "value": (one["Value"] or b"").decode(),
        "flags": one["Flags"],
        "index": one["ModifyIndex"],
        "session": one.get("Session", ""),
        "locks": one["LockIndex"],
    }


def check_of(order: Order) -> Answer | None:
    """A check as the library makes it."""
    check = None
    if "ttl" in order:
        check = consul.Check.ttl(order["ttl"])
    elif "http" in order:
        check = consul.Check.http(order["http"], order["interval"])
    elif "tcp" in order:
        host, _, port = order["tcp"].rpartition(":")
        check = consul.Check.tcp(host, int(port), order["interval"])
    if check is not None and "status" in order:
        check["status"] = order["status"]
    return check


class Client:
    """One client of the library for orders, and one for each watch."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._consul = self._new()
        self._changes: dict[tuple[str, str], list[Answer]] = {}
        self._ended: set[tuple[str, str]] = set()
        self.commands: dict[str, Callable[[Order], Answer]] = {
            name.rstrip("_"): getattr(self, name) for name in COMMANDS
        }

    def _new(self) -> Any:
        return consul.Consul(self._host, self._port)

    def register(self, order: Order) -> Answer:
        more = {"meta": order["meta"]} if "meta" in order else {}
        done = self._consul.agent.service.register(
            order["service"],
            service_id=order.get("id"),
            address=order.get("address"),
            port=order.get("port"),
            tags=order.get("tags"),
            check=check_of(order),
            **more,
        )
        return outcome(done)

    def deregister(self, order: Order) -> Answer:
        return outcome(self._consul.agent.service.deregister(order["id"]))

    def check(self, order: Order) -> Answer:
        checks = self._consul.agent.check
        tell = {"passing": checks.ttl_pass, "warning": checks.ttl_warn, "critical": checks.ttl_fail}[order["status"]]
        return outcome(tell(order["id"], order.get("note")))

    def maintain(self, order: Order) -> Answer:
        enable = order.get("enable", False)
        return outcome(self._consul.agent.service.maintenance(order["id"], enable, order.get("reason")))

    def self_(self, _order: Order) -> Answer:
        return {"node": self._consul.agent.self()["Config"]["NodeName"], "leader": self._consul.status.leader()}

    def instances(self, order: Order) -> Answer:
        more = {"filter_expr": order["filter"]} if order.get("filter") else {}
        _, found = self._consul.health.service(
            order["service"], tag=order.get("tag"), passing=order.get("passing") or None, **more
        )
        return {"instances": [view(one) for one in found]}

    def services(self, _order: Order) -> Answer:
        return {"services": self._consul.catalog.services()[1]}

    def watch(self, order: Order) -> Answer:
        self._ended.discard(subject(order))
        threading.Thread(target=self._follow, args=(order,), daemon=True).start()
        return {}

    def _follow(self, order: Order) -> None:
        client, index = self._new(), None
        while subject(order) not in self._ended:
            try:
                if order.get("key"):
                    new, found = client.kv.get(order["key"], index=index, wait="20s")
                    news = {"entry": entry(found)}
                else:
                    new, found = client.health.service(
                        order["service"], index=index, wait="20s", passing=order.get("passing") or None
                    )
                    news = {"instances": [view(one) for one in found]}
            except Exception as error:
                print(subject(order), repr(error), file=sys.stderr)
                time.sleep(0.2)
                continue
            if new != index:
                changes = self._changes.setdefault(subject(order), [])
                changes.append({"at": time.time() * 1000, **news})
            index = new if index is None or int(new) >= int(index) else None

    def changes(self, order: Order) -> Answer:
        return {"changes": list(self._changes.get(subject(order), ()))}

    def unwatch(self, order: Order) -> Answer:
        self._ended.add(subject(order))
        return {}

    def put(self, order: Order) -> Answer:
        done = self._consul.kv.put(order["key"], order["value"], cas=order.get("cas"), flags=order.get("flags"))
        return {"done": done}

    def get(self, order: Order) -> Answer:
        return {"entry": entry(self._consul.kv.get(order["key"])[1])}

    def list_(self, order: Order) -> Answer:
        found = self._consul.kv.get(order["key"], recurse=True)[1]
        return {"entries": [entry(one) for one in found or ()]}

    def keys(self, order: Order) -> Answer:
        return {"keys": self._consul.kv.get(order["key"], keys=True, separator=order.get("separator"))[1] or []}

    def delete(self, order: Order) -> Answer:
        done = self._consul.kv.delete(order["key"], recurse=order.get("recurse") or None, cas=order.get("cas"))
        return {"done": done}

    def txn(self, order: Order) -> Answer:
        done = self._consul.txn.put(order["ops"])
        return {"done": True, "results": len(done["Results"] or ()), "errors": done["Errors"]}

    def session(self, order: Order) -> Answer:
        seconds = {key: int(order[key].removesuffix("s")) for key in ("ttl", "delay") if key in order}
        found = self._consul.session.create(
            order.get("name"),
            behavior=order.get("behavior", "release"),
            ttl=seconds.get("ttl"),
            lock_delay=seconds.get("delay", 15),
            checks=["serfHealth", *order["checks"]] if order.get("checks") else None,
        )
        return {"id": found}

    def renew(self, order: Order) -> Answer:
        try:
            self._consul.session.renew(order["session"])
        except consul.NotFound:
            return {"there": False}
        return {"there": True}

    def destroy(self, order: Order) -> Answer:
        self._consul.session.destroy(order["session"])
        return {}

    def acquire(self, order: Order) -> Answer:
        return {"done": self._consul.kv.put(order["key"], order["value"], acquire=order["session"])}

    def release(self, order: Order) -> Answer:
        return {"done": self._consul.kv.put(order["key"], order["value"], release=order["session"])}

    def fire(self, order: Order) -> Answer:
        return {"id": self._consul.event.fire(order["name"], order["value"])["ID"]}

    def events(self, order: Order) -> Answer:
        found = self._consul.event.list(order["name"])[1]
        return {"events": [{"id": one["ID"], "name": one["Name"], "value": one["Payload"].decode()} for one in found]}

    def query(self, order: Order) -> Answer:
        made = self._consul.query.create(
            order["service"], name=order["name"], onlypassing=order.get("passing") or None, ttl=order.get("ttl")
        )
        return {"id": made["ID"]}

    def execute(self, order: Order) -> Answer:
        return {"instances": [view(one) for one in self._consul.query.execute(order["name"])["Nodes"]]}


def outcome(done: bool) -> Answer:
    """Any refusal is a False of the library."""
    return {} if done else {"error": "the library answers false"}


def subject(order: Order) -> tuple[str, str]:
    return order.get("service", ""), order.get("key", "")


def say(message: Answer) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--consul")
    parser.add_argument("--folder")
    client = Client(parser.parse_args().consul)
    say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "leave":
            say({"left": True})
            return
        command = client.commands.get(order["do"])
        if command is None:
            say({"error": f"unknown command {order['do']}"})
            continue
        try:
            say(command(order))
        except Exception as error:
            say({"error": repr(error)})


if __name__ == "__main__":
    main()
