"""What a client of configuration over gRPC does, in words of a line."""

from __future__ import annotations

from hashlib import md5

from grpc_world import Client

GROUP = "DEFAULT_GROUP"
NOTIFY = "ConfigChangeNotifyRequest"


def digest(content: str) -> str:
    return md5(content.encode()).hexdigest() if content else ""


def context(data_id: str = "orders.yaml", has: str = "", tenant: str = "") -> dict[str, str]:
    return {"group": GROUP, "md5": digest(has), "dataId": data_id, "tenant": tenant}


def listen(client: Client, *contexts: dict[str, str], on: bool = True) -> list[str]:
    """Data ids that the answer says have changed."""
    type, answer = client.ask("ConfigBatchListenRequest", {"listen": on, "configListenContexts": list(contexts)})
    assert (type, answer["resultCode"], answer["errorCode"]) == ("ConfigChangeBatchListenResponse", 200, 0)
    return [one["dataId"] for one in answer["changedConfigs"]]


def publish(client: Client, content: str, data_id: str = "orders.yaml", **more: str) -> None:
    body = {"dataId": data_id, "group": GROUP, "tenant": "", "content": content, "additionMap": more}
    assert client.ask("ConfigPublishRequest", body)[1]["success"] is True


def remove(client: Client, data_id: str = "orders.yaml", tag: str = "") -> None:
    body = {"dataId": data_id, "group": GROUP, "tenant": "", "tag": tag}
    assert client.ask("ConfigRemoveRequest", body)[1]["success"] is True


def told(client: Client, *, answer: bool = True) -> list[str]:
    """Data ids that it was told of since the last look."""
    return [push["dataId"] for push in client.pushes(NOTIFY, answer=answer)]
