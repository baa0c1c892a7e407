"""Our server joins a real Eureka server as its peer, and stays when that one goes."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .conftest import Operator
from .peers import EurekaClients, EurekaServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

COUNT = 300
SOON_S = 20


def test_it_knows_everything_before_its_first_client_asks_and_keeps_it(tmp_path: Path, eureka: EurekaServer) -> None:
    for n in range(COUNT):
        eureka.register("orders", f"10.0.{n // 250}.{n % 250}", 8080)
    settings = (f"apiservers.service-eureka.option.peersToReplicate=['127.0.0.1:{eureka.port}']",)
    server = Server(tmp_path, "service-eureka", settings)
    try:
        server.start()
        operator = Operator(server)
        assert len(operator.seen("orders")) == COUNT
        url = f"http://127.0.0.1:{server.port}/eureka"
        ours = EurekaClients(httpx.Client(base_url=url, timeout=20))
        hashes = [
            client.get("/apps", headers={"Accept": "application/json"}).json()["applications"]["apps__hashcode"]
            for client in (ours.client, eureka.client)
        ]
        assert hashes == [f"UP_{COUNT}_"] * 2
        ours.register("orders", "10.9.9.9", 8080)
        until(lambda: "10.9.9.9:orders:8080" in eureka.instances(), SOON_S, "a registration is passed on")
        ours.override("orders", "10.9.9.9", 8080, "OUT_OF_SERVICE")
        until(lambda: eureka.instances()["10.9.9.9:orders:8080"]["status"] == "OUT_OF_SERVICE", SOON_S, "an override")
        ours.override("orders", "10.9.9.9", 8080, None)
        until(lambda: eureka.instances()["10.9.9.9:orders:8080"]["status"] == "UP", SOON_S, "its end")
        ours.deregister("orders", "10.9.9.9", 8080)
        until(lambda: "10.9.9.9:orders:8080" not in eureka.instances(), SOON_S, "a cancellation")
        eureka.send(signal.SIGKILL)
        assert len(operator.seen("orders")) == COUNT
        ours.register("orders", "10.9.9.9", 8080)
        eureka.start()  # empty: what beats here is told to it
        assert ours.client.put("/apps/ORDERS/10.9.9.9:orders:8080").status_code == 200
        until(lambda: "10.9.9.9:orders:8080" in eureka.instances(), SOON_S, "a heartbeat brings the registration")
        ours.client.close()
        operator.client.close()
    finally:
        server.close()
