"""A provider and consumer on nacos-sdk-python 1: orders on standard input, one JSON line of answer each."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from nacos import NacosClient
from nacos.listener import SubscribeListener

Order = dict[str, Any]
Answer = dict[str, Any]
BEATS_EVERY_S = 5
POLLS_EVERY_S = 1
PR_SET_PDEATHSIG = 1


def group(order: Order) -> str:
    return str(order.get("group", "DEFAULT_GROUP"))


def key(order: Order) -> tuple[str, str, str]:
    return order.get("namespace", ""), group(order), order["service"]


def files(order: Order) -> list[str]:
    return order.get("files") or [order["service"]]


def view(one: Answer) -> Answer:
    return {
        "id": one["instanceId"],
        "service": one["serviceName"],
        "cluster": one["clusterName"],
        **{name: one[name] for name in ("ip", "port", "weight", "healthy", "enabled", "ephemeral", "metadata")},
    }


class Client:
    """The library's clients, one for each namespace."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._namings: dict[str, NacosClient] = {}
        self._changes: dict[tuple[str, str, str], list[Answer]] = {}
        self._told: dict[tuple[str, str, str], list[Answer]] = {}
        self._listeners: dict[tuple[str, str, str], Callable[[Answer], None]] = {}
        self.commands: dict[str, Callable[[Order], Answer]] = {
            "register": self.register,
            "deregister": self.deregister,
            "modify": self.modify,
            "instances": self.instances,
            "one": self.one,
            "watch": self.watch,
            "changes": self.changes,
            "leave": self.leave,
            "publish": self.publish,
            "content": self.content,
            "remove": self.remove,
            "listen": self.listen,
            "mute": self.mute,
            "told": self.told,
        }

    def naming(self, namespace: str = "") -> NacosClient:
        if namespace not in self._namings:
            given = self._arguments
            self._namings[namespace] = NacosClient(
                given.nacos,
                namespace=namespace,
                username=given.user or None,
                password=given.password or None,
                logDir=f"{given.folder}/log",
            )
        return self._namings[namespace]

    def register(self, order: Order) -> Answer:
        ephemeral = order.get("ephemeral", True)
        done = self.naming(order.get("namespace", "")).add_naming_instance(
            order["service"],
            order["ip"],
            order["port"],
            order.get("cluster", "DEFAULT"),
            order.get("weight", 1.0),
            order.get("metadata", {}),
            ephemeral=ephemeral,
            group_name=group(order),
            heartbeat_interval=BEATS_EVERY_S if ephemeral else None,
        )
        return outcome(done)

    def deregister(self, order: Order) -> Answer:
        done = self.naming(order.get("namespace", "")).remove_naming_instance(
            order["service"],
            order["ip"],
            order["port"],
            order.get("cluster", "DEFAULT"),
            order.get("ephemeral", True),
            group(order),
        )
        return outcome(done)

    def modify(self, order: Order) -> Answer:
        """An operator's change of what somebody registered."""
        done = self.naming(order.get("namespace", "")).modify_naming_instance(
            order["service"],
            order["ip"],
            order["port"],
            order.get("cluster", "DEFAULT"),
            order.get("weight"),
            order.get("metadata"),
            order.get("enabled"),
            order.get("ephemeral", True),
            group(order),
        )
        return outcome(done)

    def instances(self, order: Order) -> Answer:
        found = self.naming(order.get("namespace", "")).list_naming_instance(
            order["service"], ",".join(order.get("clusters", [])) or None, group_name=group(order)
        )
        return {"instances": [view(one) for one in found["hosts"]]}

    def one(self, order: Order) -> Answer:
        """The library does not choose: the first healthy one of the list."""
        found = [one for one in self.instances(order)["instances"] if one["healthy"]]
        return {"instances": found[:1]}

    def watch(self, order: Order) -> Answer:
        """The library polls, tells one instance at a time, and is silent about what it found first."""
        seen = self._changes[key(order)] = []
        naming = self.naming(order.get("namespace", ""))

        def changed(event: str, slc: Any) -> None:
            seen.append({"at": round(time.time() * 1000), "event": event, "instances": [view(slc.instance)]})

        listener = SubscribeListener(changed, "live")
        naming.subscribe(listener, POLLS_EVERY_S, order["service"], group_name=group(order))
        return {}

    def changes(self, order: Order) -> Answer:
        return {"changes": self._changes.get(key(order), [])}

    def leave(self, order: Order) -> Answer:
        for naming in self._namings.values():
            naming.stop_subscribe()
        return {"left": True}

    # ------------------------------------------------------------------ configuration: a file is an order's "service"

    def publish(self, order: Order) -> Answer:
        done = self.naming(order.get("namespace", "")).publish_config(
            order["service"], group(order), order["content"], config_type=order.get("type", "text")
        )
        return {"done": done}

    def content(self, order: Order) -> Answer:
        found = self.naming(order.get("namespace", "")).get_config(order["service"], group(order), no_snapshot=True)
        return {} if found is None else {"content": found}

    def remove(self, order: Order) -> Answer:
        return {"done": self.naming(order.get("namespace", "")).remove_config(order["service"], group(order))}

    def listen(self, order: Order) -> Answer:
        """The library polls in processes of its own."""
        seen = self._told[key(order)] = []

        def changed(news: Answer) -> None:
            seen.append({"at": round(time.time() * 1000), "file": news["data_id"], "content": news["content"] or ""})

        self._listeners[key(order)] = changed
        for file in files(order):
            self.naming(order.get("namespace", "")).add_config_watcher(file, group(order), changed)
        return {}

    def mute(self, order: Order) -> Answer:
        for file in files(order):
            listener = self._listeners[key(order)]
            self.naming(order.get("namespace", "")).remove_config_watcher(file, group(order), listener)
        return {}

    def told(self, order: Order) -> Answer:
        return {"changes": self._told.get(key(order), [])}

    def obey(self, order: Order) -> Answer:
        try:
            return self.commands[order["do"]](order)
        except Exception as failure:  # whatever a library raises is the answer
            return {"error": f"{type(failure).__name__}: {failure}"}


def outcome(done: bool) -> Answer:
    return {} if done else {"error": "the library answers false"}


def forked(answers: int) -> None:
    """The library polls in processes of its own: they end with this one, and hold nothing that others wait for."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(answers)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("nacos", "folder", "user", "password"):
        parser.add_argument(f"--{name}", default="")
    answers, sys.stdout = sys.stdout, sys.stderr
    os.register_at_fork(after_in_child=lambda: forked(answers.fileno()))
    client = Client(parser.parse_args())
    client.naming()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(client.obey(order)), file=answers, flush=True)
        if order["do"] == "leave":
            break
    answers.flush()
    os._exit(0)  # the library's timers are threads that nobody ends


if __name__ == "__main__":
    main()
