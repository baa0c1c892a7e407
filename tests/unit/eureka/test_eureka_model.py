"""Random lives of one namespace: where only Eureka clients speak, the answers are a lone Netflix server's, and whatever happens,
a client that applies deltas always has what the full list says and never sees a wrong hash code."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lone_server import STRANGER, JavaClient, Json, LoneServer
from netflix import Instance, Netflix

from polaris_bridge.adapters.eureka.view import NamespaceView
from polaris_bridge.core.model import Checks, Registration, Session

APPS = st.sampled_from(["ORDERS", "USERS"])
IDS = st.sampled_from(["i1", "i2", "10.0.0.1:orders:8080"])
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2"])
PORTS = st.sampled_from([8080, 9090])
WORDS = st.sampled_from(["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"])
LIKELY = st.sampled_from(["UP", "UP", "UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"])
OVERRIDES = st.sampled_from(["UNKNOWN", "UNKNOWN", "UNKNOWN", "OUT_OF_SERVICE", "DOWN"])
DIRTY = st.integers(1, 5)
SLACK_S = 2.01


class OneNamespace(RuleBasedStateMachine):
    """Eureka clients alone."""

    def __init__(self) -> None:
        super().__init__()
        self.server = LoneServer()
        self.netflix = Netflix()
        self.client = JavaClient(self.server)
        self.unpolled_s = 0
        self.switched = False
        """Whether something moved a switch and nothing else since the last poll."""
        self.early_s = 0.0
        """A stall counts as one ordinary round of the tick, so leases may seem to end that much early."""
        self.notes = 0
        self.mixed = False
        """Whether other protocols have a word too."""

    # -------------------------------------------------------------- Eureka clients

    @rule(
        app=APPS, id=IDS, host=HOSTS, port=PORTS, status=LIKELY, overridden=OVERRIDES, dirty=DIRTY,
        duration=st.sampled_from([20, 90]), replicated=st.sampled_from([False, False, True]),
        vip=st.sampled_from([None, "Orders", "orders"]),
    )  # fmt: skip
    def register(
        self, app: str, id: str, host: str, port: int, status: str, overridden: str, dirty: int, duration: int,
        replicated: bool, vip: str | None,
    ) -> None:  # fmt: skip
        self.notes += 1
        answer = self.server.register(
            app, id, ipAddr=host, port={"$": port, "@enabled": "true"}, status=status, overriddenStatus=overridden,
            lastDirtyTimestamp=dirty, leaseInfo={"durationInSecs": duration}, hostName=f"note-{self.notes}",
            vipAddress=vip, replicated=replicated,
        )  # fmt: skip
        incoming = Instance(status, (host, port), dirty, f"note-{self.notes}", {}, duration, self.netflix.now_s)
        self.same(answer.status, self.netflix.register((app, id), incoming, overridden, replicated))

    @rule(app=APPS, id=IDS, dirty=st.none() | DIRTY, overridden=OVERRIDES, replicated=st.booleans())
    def renew(self, app: str, id: str, dirty: int | None, overridden: str, replicated: bool) -> None:
        query = f"overriddenstatus={overridden}" + (f"&lastDirtyTimestamp={dirty}" if dirty is not None else "")
        answer = self.server.renew(app, id, query, replicated=replicated)
        self.switched |= replicated and overridden != "UNKNOWN" and answer.status == 404
        self.same(answer.status, self.netflix.renew((app, id), dirty, overridden, replicated))
        assert (answer.body != b"") == (answer.status == 409)

    @rule(app=APPS, id=IDS)
    def cancel(self, app: str, id: str) -> None:
        self.same(self.server.ask("DELETE", f"/eureka/apps/{app}/{id}").status, self.netflix.cancel((app, id)))

    @rule(app=APPS, id=IDS, word=WORDS, dirty=st.integers(0, 5))
    def set_status(self, app: str, id: str, word: str, dirty: int) -> None:
        target = f"/eureka/apps/{app}/{id}/status?value={word}&lastDirtyTimestamp={dirty}"
        self.same(self.server.ask("PUT", target).status, self.netflix.set_status((app, id), word, dirty))

    @rule(app=APPS, id=IDS, word=WORDS, dirty=st.integers(0, 5))
    def delete_status(self, app: str, id: str, word: str, dirty: int) -> None:
        target = f"/eureka/apps/{app}/{id}/status?value={word}&lastDirtyTimestamp={dirty}"
        self.same(self.server.ask("DELETE", target).status, self.netflix.delete_status((app, id), word, dirty))

    @rule(app=APPS, id=IDS, pairs=st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2))
    def set_metadata(self, app: str, id: str, pairs: dict[str, str]) -> None:
        query = "&".join(f"{k}={v}" for k, v in pairs.items())
        answer = self.server.ask("PUT", f"/eureka/apps/{app}/{id}/metadata?{query}")
        self.same(answer.status, self.netflix.set_metadata((app, id), pairs))

    # -------------------------------------------------------------- time

    @rule(seconds=st.sampled_from([1, 10, 19, 30, 71]))
    def time_passes(self, seconds: int) -> None:
        self.unpolled_s += seconds
        if self.unpolled_s > 150:
            self.poll()
        for _ in range(seconds):
            self.server.pass_time(1)
            self.netflix.now_s += 1
            self.let_go()

    @rule()
    def stall(self) -> None:
        """Stopped for long; nobody loses anything by it."""
        self.poll()
        self.server.clock.move(150)
        self.server.tick()
        self.unpolled_s = 150
        self.early_s += 2.01
        self.let_go()

    @rule()
    def restart(self) -> None:
        """Changes just before it are told after it, but for those that only a switch knows of: it has no time."""
        if self.switched:
            self.poll()
        self.server.restart()
        self.netflix.restart()
        self.client.stale = True

    @rule()
    def poll(self) -> None:
        self.unpolled_s = 0
        self.switched = False
        self.client.poll()
        self.compare_copy()

    # -------------------------------------------------------------- comparing

    def same(self, got: int, expected: int) -> None:
        assert self.mixed or got == expected

    def let_go(self) -> None:
        """Leases end within the slack: never before their time, never long after it."""
        for key in self.netflix.overdue(-self.early_s):
            if self.server.service.view("default").entry(*key) is None:
                self.netflix.cancel(key)
        assert not self.netflix.overdue(SLACK_S)

    def listed(self) -> dict[tuple[str, str], str]:
        return self.server.statuses()

    def compare_copy(self) -> None:
        """A copy kept by deltas is the full list."""
        full = JavaClient(self.server).copy
        assert {k: seen(i) for k, i in self.client.copy.items()} == {k: seen(i) for k, i in full.items()}

    @invariant()
    def as_netflix(self) -> None:
        if self.mixed:
            return
        full = JavaClient(self.server).copy
        assert {k: told(i) for k, i in full.items()} == {
            k: (i.status, self.netflix.overrides.get(k, "UNKNOWN"), i.place, i.note, str(i.dirty), i.metadata)
            for k, i in self.netflix.registry.items()
        }

    @invariant()
    def by_id_and_by_list_alike(self) -> None:
        for (app, id), instance in JavaClient(self.server).copy.items():
            one = self.server.get(f"/eureka/apps/{app}/{id}").instance
            assert seen(one) == seen(instance)

    def teardown(self) -> None:
        self.client.poll()
        self.compare_copy()


class ManyProtocols(OneNamespace):
    """The same, while others register at the same addresses, isolate, fall silent and leave."""

    @initialize()
    def open(self) -> None:
        self.mixed = True
        self.foreign: dict[str, Registration] = {}

    @rule(
        source=st.sampled_from(["nacos", "consul", "native"]), key=st.sampled_from("xy"), host=HOSTS, port=PORTS,
        service=st.sampled_from(["orders", "Orders", "users"]), kind=st.sampled_from(["lease", "session", "check", "none"]),
        reported=st.sampled_from(["up", "up", "down"]), weight=st.sampled_from([100, 0]),
    )  # fmt: skip
    def others_register(
        self, source: str, key: str, host: str, port: int, service: str, kind: str, reported: str, weight: int
    ) -> None:
        members: dict[str, Any] = {"session": {"liveness": Session(f"{source}-{key}")}, "none": {"liveness": None}}
        members["check"] = {"liveness": Checks({"c": "passing"})}
        if kind == "session":
            self.server.registry.open_session(f"{source}-{key}")
        self.foreign[source + key] = self.server.foreign(
            source, key, host=host, port=port, service=service, reported=reported, weight=weight,
            metadata={"n": str(self.notes)}, **members.get(kind, {}),
        )  # fmt: skip

    @rule(who=st.sampled_from(["nacosx", "nacosy", "consulx", "nativex"]), what=st.sampled_from(
        ["beat", "leave", "isolate", "release", "close", "critical", "delete"]
    ))  # fmt: skip
    def others_go_on(self, who: str, what: str) -> None:
        r = self.foreign.get(who)
        if r is None:
            return
        now = self.server.registry.registration(r.id)
        match what:
            case "beat":
                self.server.beat(r)
            case "leave":
                self.server.forget(r)
            case "isolate" | "release":
                if now is not None:
                    self.switched = True
                    self.server.switch(now, r.source, on=what == "isolate")
            case "close":
                self.server.registry.close_session(f"{r.source}-{r.key}")
            case "critical":
                self.server.registry.set_check(r.id, "c", "critical")
            case _:
                if now is not None:
                    self.server.registry.delete_address(now.service_key, now.address, STRANGER)
        self.server.queue.settle()

    @rule(index=st.integers(0, 5), word=st.sampled_from(["OUT_OF_SERVICE", "UP"]))
    def override_whatever_is_listed(self, index: int, word: str) -> None:
        listed = sorted(self.listed())
        if listed:
            self.switched = True
            app, id = listed[index % len(listed)]
            assert self.server.ask("PUT", f"/eureka/apps/{app}/{id}/status?value={word}").status == 200

    def let_go(self) -> None:
        """Nobody knows what a lone server would do now."""

    @invariant()
    def a_function_of_the_facts(self) -> None:
        """Whoever begins to look now sees what a view that grew with every change shows."""
        grown = self.server.service.view("default")
        fresh = NamespaceView(self.server.registry, "default", self.server.settings)
        assert facts(grown) == facts(fresh)
        assert grown.hash_code == fresh.hash_code

    @invariant()
    def everybody_alive_is_listed(self) -> None:
        listed = JavaClient(self.server).copy
        places = {(i["app"], i["ipAddr"], i["port"]["$"]) for i in listed.values()}
        for snapshot in self.server.registry.services("default"):
            for place, address in snapshot.addresses.items():
                if any(r.live for r in address.registrations):
                    assert (snapshot.key.name.upper(), place.host, place.port) in places


def facts(view: Any) -> dict[tuple[str, str], object]:
    return {
        (app.name, e.id): (e.word, e.override, e.own, e.registration.id, e.place, e.service)
        for app in view.applications.values()
        for e in app.entries
    }


def seen(instance: Json) -> Json:
    """A document without what renewals and the path to it move."""
    return {k: v for k, v in instance.items() if k not in ("leaseInfo", "actionType", "lastUpdatedTimestamp")}


def told(i: Json) -> tuple[object, ...]:
    metadata = {k: v for k, v in i["metadata"].items() if k != "@class"}
    return (
        i["status"],
        i["overriddenStatus"],
        (i["ipAddr"], i["port"]["$"]),
        i["hostName"],
        i["lastDirtyTimestamp"],
        metadata,
    )


LIVES = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
OneNamespace.TestCase.settings = LIVES
ManyProtocols.TestCase.settings = LIVES
TestOneNamespace = OneNamespace.TestCase
TestManyProtocols = ManyProtocols.TestCase
