"""A provider and consumer on nacos-sdk-python 3: orders on standard input, one JSON line of answer each."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from v2.nacos import (
    BatchRegisterInstanceParam,
    ClientConfig,
    ClientConfigBuilder,
    ConfigParam,
    DeregisterInstanceParam,
    Instance,
    ListInstanceParam,
    ListServiceParam,
    NacosConfigService,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

Order = dict[str, Any]
Answer = dict[str, Any]


def group(order: Order) -> str:
    return str(order.get("group", "DEFAULT_GROUP"))


def key(order: Order) -> tuple[str, str, str]:
    return order.get("namespace", ""), group(order), order["service"]


def files(order: Order) -> list[str]:
    return order.get("files") or [order["service"]]


def registration(order: Order, service: str, group_name: str) -> RegisterInstanceParam:
    return RegisterInstanceParam(
        service_name=service,
        group_name=group_name,
        ip=order["ip"],
        port=order["port"],
        weight=order.get("weight", 1.0),
        ephemeral=order.get("ephemeral", True),
        metadata=order.get("metadata", {}),
        cluster_name=order.get("cluster", ""),
    )


def view(one: Instance) -> Answer:
    return {
        "id": one.instanceId,
        "ip": one.ip,
        "port": one.port,
        "weight": one.weight,
        "healthy": one.healthy,
        "enabled": one.enabled,
        "ephemeral": one.ephemeral,
        "cluster": one.clusterName,
        "service": one.serviceName,
        "metadata": one.metadata,
    }


class Client:
    """The library's clients, one for each namespace."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._namings: dict[str, NacosNamingService] = {}
        self._changes: dict[tuple[str, str, str], list[Answer]] = {}
        self._watches: dict[tuple[str, str, str], SubscribeServiceParam] = {}
        self._configs: dict[str, NacosConfigService] = {}
        self._told: dict[tuple[str, str, str], list[Answer]] = {}
        self._listeners: dict[tuple[str, str, str], Callable[..., Awaitable[None]]] = {}
        self.commands: dict[str, Callable[[Order], Awaitable[Answer]]] = {
            "register": self.register,
            "deregister": self.deregister,
            "batch": self.batch,
            "drop": self.drop,
            "instances": self.instances,
            "services": self.services,
            "watch": self.watch,
            "unwatch": self.unwatch,
            "changes": self.changes,
            "status": self.status,
            "leave": self.leave,
            "publish": self.publish,
            "swap": self.publish,
            "content": self.content,
            "remove": self.remove,
            "listen": self.listen,
            "mute": self.mute,
            "told": self.told,
        }

    def settings(self, namespace: str) -> ClientConfig:
        """What every client of the library is given."""
        given = self._arguments
        builder = ClientConfigBuilder().server_address(given.nacos).namespace_id(namespace)
        builder.log_dir(f"{given.folder}/log").cache_dir(f"{given.folder}/cache").load_cache_at_start(False)
        if given.user:
            builder.username(given.user).password(given.password)
        return builder.build()

    async def naming(self, namespace: str = "") -> NacosNamingService:
        if namespace not in self._namings:
            settings = self.settings(namespace)
            settings.update_cache_when_empty = True
            self._namings[namespace] = await NacosNamingService.create_naming_service(settings)
        return self._namings[namespace]

    async def register(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        return outcome(await naming.register_instance(registration(order, order["service"], group(order))))

    async def deregister(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        leaving = DeregisterInstanceParam(
            service_name=order["service"],
            group_name=group(order),
            ip=order["ip"],
            port=order["port"],
            cluster_name=order.get("cluster", ""),
            ephemeral=order.get("ephemeral", True),
        )
        return outcome(await naming.deregister_instance(leaving))

    def _batch(self, order: Order) -> BatchRegisterInstanceParam:
        instances = [registration(one, order["service"], group(order)) for one in order["instances"]]
        return BatchRegisterInstanceParam(service_name=order["service"], group_name=group(order), instances=instances)

    async def batch(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        return outcome(await naming.batch_register_instances(self._batch(order)))

    async def drop(self, order: Order) -> Answer:
        """Some of a batch leave."""
        naming = await self.naming(order.get("namespace", ""))
        return outcome(await naming.batch_deregister_instances(self._batch(order)))

    async def instances(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        asked = ListInstanceParam(
            service_name=order["service"],
            group_name=group(order),
            clusters=order.get("clusters", []),
            subscribe=False,
            healthy_only=None,
        )
        return {"instances": [view(one) for one in await naming.list_instances(asked)]}

    async def services(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        page = await naming.list_services(ListServiceParam(group_name=group(order), page_no=1, page_size=1000))
        return {"services": page.services, "count": page.count}

    async def watch(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        seen = self._changes[key(order)] = []

        async def changed(instances: list[Instance]) -> None:
            seen.append({"at": round(time.time() * 1000), "instances": [view(one) for one in instances]})

        watch = SubscribeServiceParam(
            service_name=order["service"],
            group_name=group(order),
            clusters=order.get("clusters", []),
            subscribe_callback=changed,
        )
        self._watches[key(order)] = watch
        await naming.subscribe(watch)
        return {}

    async def unwatch(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        await naming.unsubscribe(self._watches.pop(key(order)))
        return {}

    async def changes(self, order: Order) -> Answer:
        return {"changes": self._changes.get(key(order), [])}

    async def status(self, order: Order) -> Answer:
        naming = await self.naming(order.get("namespace", ""))
        return {"status": "UP" if await naming.server_health() else "DOWN"}

    async def leave(self, order: Order) -> Answer:
        for naming in self._namings.values():
            await naming.shutdown()
        for configs in self._configs.values():
            await configs.shutdown()
        return {"left": True}

    # ------------------------------------------------------------------ configuration: a file is an order's "service"

    async def configs(self, order: Order) -> NacosConfigService:
        """The client of one namespace, made when it is first needed."""
        namespace = order.get("namespace", "")
        if namespace not in self._configs:
            self._configs[namespace] = await NacosConfigService.create_config_service(self.settings(namespace))
        return self._configs[namespace]

    async def publish(self, order: Order) -> Answer:
        """With ``md5``: if the content there has this sum."""
        configs = await self.configs(order)
        published = ConfigParam(
            data_id=order["service"],
            group=group(order),
            content=order["content"],
            type=order.get("type", "text"),
            cas_md5=order.get("md5", ""),
        )
        return {"done": await configs.publish_config(published)}

    async def content(self, order: Order) -> Answer:
        configs = await self.configs(order)
        found = await configs.get_config(ConfigParam(data_id=order["service"], group=group(order)))
        return {"content": found} if found else {}

    async def remove(self, order: Order) -> Answer:
        configs = await self.configs(order)
        return {"done": await configs.remove_config(ConfigParam(data_id=order["service"], group=group(order)))}

    async def listen(self, order: Order) -> Answer:
        configs = await self.configs(order)
        seen = self._told[key(order)] = []

        async def changed(_namespace: str, _group: str, file: str, content: str) -> None:
            seen.append({"at": round(time.time() * 1000), "file": file, "content": content or ""})

        self._listeners[key(order)] = changed
        for file in files(order):
            await configs.add_listener(file, group(order), changed)
        return {}

    async def mute(self, order: Order) -> Answer:
        configs = await self.configs(order)
        for file in files(order):
            await configs.remove_listener(file, group(order), self._listeners[key(order)])
        return {}

    async def told(self, order: Order) -> Answer:
        return {"changes": self._told.get(key(order), [])}

    async def obey(self, order: Order) -> Answer:
        try:
            return await self.commands[order["do"]](order)
        except Exception as failure:  # whatever a library raises is the answer
            return {"error": f"{type(failure).__name__}: {failure}"}


def outcome(done: bool) -> Answer:
    return {} if done else {"error": "the library answers false"}


async def converse(arguments: argparse.Namespace) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    loop = asyncio.get_running_loop()
    client = Client(arguments)
    await client.naming()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        print(json.dumps(await client.obey(order)), file=answers, flush=True)
        if order["do"] == "leave":
            return


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("nacos", "folder", "user", "password"):
        parser.add_argument(f"--{name}", default="")
    asyncio.run(converse(parser.parse_args()))


if __name__ == "__main__":
    main()
