"""Provider and consumer on py_eureka_client: commands on standard input, one JSON line of answer each."""

import argparse
import asyncio
import json
import logging
import sys
from typing import Any

from py_eureka_client.eureka_client import EurekaClient
from py_eureka_client.logger import set_handler

Answer = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("eureka", "app", "id"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ip", default="127.0.0.1")
    for name in ("port", "renew", "lease", "fetch"):
        parser.add_argument(f"--{name}", required=True, type=int)
    return parser.parse_args()


def client_of(args: argparse.Namespace) -> EurekaClient:
    """The client reads the registry with each heartbeat: ``--fetch`` has no setting of its own."""
    return EurekaClient(
        eureka_server=args.eureka + "/",
        app_name=args.app,
        instance_id=args.id,
        instance_host="127.0.0.1",
        instance_ip=args.ip,
        instance_port=args.port,
        renewal_interval_in_secs=args.renew,
        duration_in_secs=args.lease,
        metadata={"zone": "live", "with.dot": "a b"},
    )


def view(client: EurekaClient, app: str) -> list[Answer]:
    application = client.applications.get_application(app)
    return [
        {
            "id": instance.instanceId,
            "status": instance.status,
            "host": instance.hostName,
            "port": instance.port.port,
            "metadata": instance.metadata,
        }
        for instance in (application.instances if application else [])
    ]


async def answer(client: EurekaClient, command: str, argument: str) -> Answer:
    if command == "view":
        return {"instances": view(client, argument)}
    if command == "call":
        return {"body": await client.do_service(argument, "/hello")}
    if command == "status":
        await client.status_update(argument)
        return {"status": argument}
    if command == "leave":
        await client.stop()
        return {"left": True}
    return {"error": f"unknown command {command}"}


def say(message: Answer) -> None:
    print(json.dumps(message), flush=True)


async def converse(args: argparse.Namespace) -> None:
    client = client_of(args)
    await client.start()
    say({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, _, argument = line.strip().partition(" ")
        try:
            say(await answer(client, command, argument))
        except Exception as failure:
            say({"error": repr(failure)})
        if command == "leave":
            return


if __name__ == "__main__":
    set_handler(logging.StreamHandler(sys.stderr))
    asyncio.run(converse(arguments()))
