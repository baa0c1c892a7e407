"""The checkers of Nacos clusters: what each asks of whom, and who may say by hand that an instance is well."""

from __future__ import annotations

import heapq
import types
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from polaris_bridge.adapters._shared.checks import HTTP, MYSQL, TCP
from polaris_bridge.adapters.nacos.service.checks import CHECK, READ_ONLY, TIMES, ClusterChecks, checker, headers
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.translate.keys import SOURCE, http_key
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.health import Check, HealthEngine, Outcome
from polaris_bridge.core.model import (
    CRITICAL,
    PASSING,
    Caller,
    Checks,
    Lease,
    Registration,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
)
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

CALLER = Caller("nacos", "127.0.0.1")
ORDERS = ServiceKey("default", "orders")
SCOPE = Scope("public", "default", "DEFAULT_GROUP", "orders")


class Time:
    """Clock and run queue in one."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return round(self.now_s * 1000)

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (self.now_s + delay_s, self._count, run))

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def pass_time(self, seconds: float) -> None:
        end = self.now_s + seconds
        self.settle()
        while self._later and self._later[0][0] <= end:
            self.now_s, _, run = heapq.heappop(self._later)
            run()
            self.settle()
        self.now_s = end


class Doctor:
    """Finds every address well unless told otherwise."""

    kinds = types.MappingProxyType({TCP: 64, HTTP: 64, MYSQL: 8})

    def __init__(self) -> None:
        self.asked: list[Check] = []
        self.finding = PASSING

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        self.asked.append(check)
        done(Outcome(self.finding))
        return lambda: None


class Ward:
    """A registry with the checks of Nacos, in one process with a time of its own."""

    def __init__(self) -> None:
        self.time = Time()
        self.doctor = Doctor()
        store = MemoryStore(post=self.time.soon, unique=lambda: "node-1")
        self.registry = Registry(store, self.time, self.time, Terms())
        self.registry.load()
        self.engine = HealthEngine(self.registry, self.doctor, lambda: 0.5)
        self.checks = ClusterChecks(self.registry, self.engine)
        self.engine.start()

    def register(self, port: int = 8080, cluster: str = "DEFAULT", *, healthy: bool = True) -> RegistrationKey:
        key = http_key("default", SCOPE.grouped, "10.0.0.1", port, ephemeral=False)
        r = Registration(
            SOURCE, "default", key.key, "orders", "10.0.0.1", port, cluster=cluster, ephemeral=False,
            liveness=Checks({CHECK: PASSING if healthy else CRITICAL}),
        )  # fmt: skip
        self.registry.register(r, CALLER)
        self.time.settle()
        return key

    def define(self, cluster: str = "DEFAULT", **attributes: Any) -> None:
        """PUT /cluster."""
        record = self.registry.snapshot(ORDERS).record or ServiceRecord(*ORDERS)
        ext = dict(record.ext.get(SOURCE, {}))
        ext["clusters"] = {**ext.get("clusters", {}), cluster: attributes}
        self.registry.put_service(structs.replace(record, ext={**record.ext, SOURCE: ext}), CALLER)
        self.time.settle()

    def state(self, key: RegistrationKey) -> str:
        r = self.registry.registration(key)
        assert r is not None
        assert isinstance(r.liveness, Checks)
        return r.liveness.states[CHECK]


@pytest.fixture
def ward() -> Ward:
    return Ward()


class TestWhatIsAsked:
    def test_tcp_to_the_own_port_unless_said_otherwise(self, ward: Ward) -> None:
        ward.register(8080)
        ward.time.pass_time(7)
        (asked,) = set(ward.doctor.asked)
        assert (asked.kind, asked.host, asked.port, asked.timeout_ms) == (TCP, "10.0.0.1", 8080, 500)
        assert (asked.rise, asked.fall, asked.first_ms) == (3, 3, (2000, 7000))

    @pytest.mark.parametrize(
        ("attributes", "port"),
        [
            ({"checkPort": 9000, "useInstancePort": False}, 9000),
            ({"checkPort": 9000, "useInstancePort": True}, 8080),
            ({"checkPort": 9000}, 8080),
            ({"checkPort": "9000", "useInstancePort": False}, 9000),
        ],
    )
    def test_the_port_of_the_cluster(self, ward: Ward, attributes: dict[str, Any], port: int) -> None:
        ward.define(healthChecker={"type": "TCP"}, **attributes)
        ward.register(8080)
        ward.time.pass_time(7)
        assert {check.port for check in ward.doctor.asked} == {port}

    def test_http_with_path_headers_and_status(self, ward: Ward) -> None:
        given = {"type": "HTTP", "path": "/health", "headers": "X-A:1|X-B: 2", "expectedResponseCode": 204}
        ward.define(healthChecker=given)
        ward.register()
        ward.time.pass_time(7)
        asked = ward.doctor.asked[0]
        assert (asked.kind, asked.path, asked.expected) == (HTTP, "/health", (204,))
        assert asked.headers == (("X-A", "1"), ("X-B", "2"))

    def test_mysql_with_its_account_and_query(self, ward: Ward) -> None:
        ward.define(healthChecker={"type": "MYSQL", "user": "u", "pwd": "secret", "cmd": "select 1"})
        ward.register()
        ward.time.pass_time(7)
        asked = ward.doctor.asked[0]
        assert (asked.kind, asked.user, asked.password, asked.query) == (MYSQL, "u", "secret", "select 1")
        assert asked.unwanted == ()
        assert "secret" not in repr(asked)

    def test_a_replica_counts_as_unhealthy_when_the_query_is_the_default_one(self) -> None:
        ward = Ward()
        ward.define(healthChecker={"type": "MYSQL", "user": "u", "pwd": "p"})
        ward.register()
        ward.time.pass_time(7)
        assert (ward.doctor.asked[0].query, ward.doctor.asked[0].unwanted) == (READ_ONLY, ("ON",))

    def test_each_cluster_has_its_own(self, ward: Ward) -> None:
        ward.define("A", healthChecker={"type": "HTTP"})
        ward.define("B", healthChecker={"type": "NONE"})
        ward.register(1, "A")
        ward.register(2, "B")
        ward.register(3, "C")
        ward.time.pass_time(7)
        assert {(c.kind, c.port) for c in ward.doctor.asked} == {(HTTP, 1), (TCP, 3)}

    def test_a_changed_cluster_is_asked_anew(self, ward: Ward) -> None:
        ward.register()
        ward.time.pass_time(7)
        ward.define(healthChecker={"type": "HTTP"})
        ward.doctor.asked.clear()
        ward.time.pass_time(7)
        assert {c.kind for c in ward.doctor.asked} == {HTTP}
        ward.define(healthChecker={"type": "NONE"})
        ward.doctor.asked.clear()
        ward.time.pass_time(7)
        assert ward.doctor.asked == []

    def test_a_cluster_changed_together_with_one_instance_is_changed_for_all(self, ward: Ward) -> None:
        ward.register(1)
        with ward.registry.transaction():
            ward.define(healthChecker={"type": "NONE"})
            ward.register(2)
        ward.time.settle()
        ward.time.pass_time(20)
        assert ward.doctor.asked == []

    def test_ephemeral_instances_are_nobodys_patients(self, ward: Ward) -> None:
        ward.registry.register(
            Registration(SOURCE, "default", "e|x", "orders", "10.0.0.1", 1, liveness=Lease(5000, 15000, 30000)), CALLER
        )
        ward.time.settle()
        assert len(ward.engine) == 0

    def test_switched_off_nobody_is_asked(self, ward: Ward) -> None:
        ward.register()
        ward.checks.obey(False, TIMES)
        ward.time.pass_time(20)
        assert ward.doctor.asked == []
        ward.checks.obey(True, TIMES)
        ward.time.pass_time(7)
        assert ward.doctor.asked != []


class TestHealth:
    def test_three_in_a_row(self, ward: Ward) -> None:
        key = ward.register()
        ward.doctor.finding = CRITICAL
        while len(ward.doctor.asked) < TIMES:
            assert ward.state(key) == PASSING
            ward.time.pass_time(0.5)
        assert ward.state(key) == CRITICAL

    def test_as_many_in_a_row_as_the_operator_says(self, ward: Ward) -> None:
        key = ward.register()
        ward.checks.obey(True, 5)
        ward.doctor.finding = CRITICAL
        while len(ward.doctor.asked) < 5:
            assert ward.state(key) == PASSING
            ward.time.pass_time(0.5)
        assert ward.state(key) == CRITICAL

    def test_by_hand_where_nobody_else_judges(self, ward: Ward) -> None:
        ward.define(healthChecker={"type": "NONE"})
        key = ward.register()
        assert ward.checks.set_health(SCOPE, "10.0.0.1", 8080, "DEFAULT", False)
        assert ward.state(key) == CRITICAL
        ward.time.pass_time(60)
        assert ward.state(key) == CRITICAL
        assert ward.checks.set_health(SCOPE, "10.0.0.1", 8080, "", True)
        assert ward.state(key) == PASSING
        assert not ward.checks.set_health(SCOPE, "10.0.0.1", 8081, "DEFAULT", True)

    def test_by_hand_refused_where_a_check_judges(self, ward: Ward) -> None:
        ward.register()
        with pytest.raises(Refused) as refused:
            ward.checks.set_health(SCOPE, "10.0.0.1", 8080, "DEFAULT", False)
        text = "health check is still working, service: DEFAULT_GROUP@@orders, cluster: DEFAULT"
        assert (refused.value.status, refused.value.code, refused.value.text) == (400, 30000, text)


class TestForms:
    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            ("", ()),
            ("k:v", (("k", "v"),)),
            ("k:v|k2:v2", (("k", "v"), ("k2", "v2"))),
            ("Host:a:80", (("Host", "a:80"),)),
            ("novalue|k:", (("k", ""),)),
        ],
    )
    def test_headers(self, text: str, pairs: tuple[tuple[str, str], ...]) -> None:
        assert headers(text) == pairs

    def test_what_makes_no_sense_has_the_default(self) -> None:
        odd = checker({"type": "TELNET", "path": 3, "expectedResponseCode": "many", "cmd": None})
        assert (odd.type, odd.path, odd.expected, odd.query) == ("TCP", "/", 200, READ_ONLY)

    def test_secrets_are_not_printed(self) -> None:
        assert "hush" not in repr(checker({"type": "MYSQL", "pwd": "hush"}))
