"""What is built on the libraries: Spring Cloud Consul applications, Prometheus' discovery, consul-template."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..eureka.conftest import greeter  # noqa: F401 - a fixture
from ..server import free_port
from ..waiting import until
from .conftest import RUN, Target, needed
from .members import NOTICES_WITHIN_S, SPRING, Member
from .registry import HOST, Document, Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]
BEATING, PROBED = f"spring-beating-{RUN}", f"spring-probed-{RUN}"
PORT, OTHER = 8001, 8002


@pytest.fixture(scope="class")
def spring_clients(target: Target, buildable: dict[str, str]) -> Iterator[dict[str, Member]]:
    """By the name of the application."""
    needed(SPRING, buildable)
    target.registry.put(f"config/{BEATING}/data", "greeting: first\n")
    target.registry.put(f"config/{PROBED}/greeting", "first")
    ports = {BEATING: free_port(), PROBED: free_port()}
    kinds = {BEATING: ("ttl", "YAML"), PROBED: ("http", "KEY_VALUE")}
    members = {}
    for app, (check, layout) in kinds.items():
        more = ("--app", app, "--port", str(ports[app]), "--check", check, "--format", layout)
        members[app] = target.fleet.start(SPRING, app, *more)
        members[app].port = ports[app]
    for member in members.values():
        member.talker.greet()
    yield members
    for member in members.values():
        member.talker.close()


class TestSpring:
    """Two applications in a process each: one tells that it lives, the other is asked."""

    def test_register_themselves(self, spring_clients: dict[str, Member], registry: Registry) -> None:
        for app, member in spring_clients.items():
            until(
                lambda app=app, member=member: registry.statuses(app) == {member.port: "passing"},  # type: ignore[misc]
                NOTICES_WITHIN_S,
                f"{app} passes",
            )
            [one] = registry.entries(app).values()
            assert one["Service"]["Tags"] == ["spring"]
            assert one["Service"]["Address"] == HOST
            assert one["Service"]["Meta"]["release"] == "1"
            [check] = [check for check in one["Checks"] if check["CheckID"] != "serfHealth"]
            assert check["Type"] == ("ttl" if app == BEATING else "http")

    @pytest.mark.parametrize("caller", [BEATING, PROBED], ids=["beating", "probed"])
    def test_find_and_call_others(
        self,
        spring_clients: dict[str, Member],
        registry: Registry,
        caller: str,
        greeter: int,  # noqa: F811
    ) -> None:
        member, other = spring_clients[caller], ({BEATING, PROBED} - {caller}).pop()
        until(lambda: other in member.ask("services")["services"], NOTICES_WITHIN_S, "it lists the other")
        until(lambda: registry.ports(other, passing=1), NOTICES_WITHIN_S, "the other passes")
        [seen] = member.instances(other).values()
        assert (seen["address"], seen["meta"]["release"]) == (HOST, "1")
        assert member.ask("template", service=other) == {"body": "hello from spring"}
        name = f"greeter-{RUN}"
        registry.register(name, greeter)
        assert member.ask("feign", service=name) == {"body": "greetings at /hello"}

    def test_are_refreshed_when_their_settings_change(
        self, spring_clients: dict[str, Member], registry: Registry
    ) -> None:
        keys = {BEATING: (f"config/{BEATING}/data", "greeting: {}\n"), PROBED: (f"config/{PROBED}/greeting", "{}")}
        for app, (key, form) in keys.items():
            member = spring_clients[app]
            assert member.ask("settings") == {"greeting": "first"}
            for greeting in ("second", "third é"):
                registry.put(key, form.format(greeting))
                until(
                    lambda member=member, greeting=greeting: member.ask("settings")["greeting"] == greeting,  # type: ignore[misc]
                    NOTICES_WITHIN_S,
                    f"{app} has {greeting}",
                )

    def test_watch_without_haste(self, spring_clients: dict[str, Member]) -> None:
        """Their watch of keys blocks: in three seconds there are few requests of it, though it asks again after 200 ms."""
        member = spring_clients[PROBED]
        before, over = len(member.relay.exchanges), time.monotonic() + 3
        until(lambda: time.monotonic() > over, 5, "three seconds are over")
        watched = [one.target for one in member.relay.exchanges[before:] if "/v1/kv/" in one.target]
        assert len(watched) <= 7, watched

    def test_a_killed_one_turns_critical_and_a_stopped_one_is_gone(
        self, spring_clients: dict[str, Member], registry: Registry
    ) -> None:
        """The last: both end."""
        killed, stopped = spring_clients[BEATING], spring_clients[PROBED]
        killed.talker.signal(signal.SIGKILL)
        until(
            lambda: registry.statuses(BEATING) == {killed.port: "critical"},
            NOTICES_WITHIN_S,
            "the killed one: critical",
        )
        assert stopped.instances(BEATING) == {}
        stopped.talker.signal(signal.SIGTERM)
        until(lambda: not registry.ports(PROBED), NOTICES_WITHIN_S, "the stopped one: gone")

    def test_a_killed_one_that_is_asked_turns_critical(self, target: Target, registry: Registry) -> None:
        """Continues the test before: what is probed is found dead too."""
        app = f"{PROBED}-again"
        more = ("--app", app, "--port", str(free_port()), "--check", "http", "--format", "KEY_VALUE")
        member = target.fleet.start(SPRING, app, *more)
        member.talker.greet()
        until(lambda: registry.ports(app, passing=1), NOTICES_WITHIN_S, "it passes")
        member.talker.signal(signal.SIGKILL)
        until(lambda: set(registry.statuses(app).values()) == {"critical"}, NOTICES_WITHIN_S, "it is critical")
        member.talker.close()


def of(prometheus: Member, service: str) -> dict[str, Document]:
    """Prometheus' targets of a service, by address."""
    return {one["__address__"]: one for one in prometheus.ask("targets", service=service)["targets"]}


def test_prometheus_finds_what_comes_and_goes(prometheus: Member, registry: Registry, service: str) -> None:
    """With blocking reads of catalog/services and, for each service, of health/service."""
    registry.register(service, PORT, Tags=["a", "b"], Meta={"stage": "live"})
    first = f"{HOST}:{PORT}"
    found = until(lambda: of(prometheus, service).get(first), NOTICES_WITHIN_S, "the first is a target")
    assert found["__meta_consul_tags"] == ",a,b,"
    assert found["__meta_consul_service_metadata_stage"] == "live"
    assert found["__meta_consul_dc"] == "dc1"
    assert found["__meta_consul_health"] == "passing"
    registry.register(service, OTHER, Check={"TTL": "60s"})
    second = until(lambda: of(prometheus, service).get(f"{HOST}:{OTHER}"), NOTICES_WITHIN_S, "so is the second")
    assert second["__meta_consul_health"] == "critical"
    registry.deregister(service, PORT)
    until(lambda: first not in of(prometheus, service), NOTICES_WITHIN_S, "the first is gone")
    registry.deregister(service, OTHER)
    until(lambda: not of(prometheus, service), NOTICES_WITHIN_S, "all are gone")


def test_prometheus_asks_without_haste(prometheus: Member, registry: Registry, service: str) -> None:
    """It waits in the server: changes of keys and of nothing make it ask no more often."""
    registry.register(service, PORT)
    until(lambda: of(prometheus, service), NOTICES_WITHIN_S, "it is a target")
    before = len(prometheus.relay.exchanges)
    for turn in range(100):
        registry.put(f"live/{service}", str(turn))
        registry.register(service, PORT)
    asked = [one.target for one in prometheus.relay.exchanges[before:]]
    assert len(asked) <= 3, asked
    assert prometheus.relay.violations == []


TEMPLATE = """\
{{ range service "%(service)s" }}{{ .Name }} {{ .Address }}:{{ .Port }} {{ .Tags | join "," }}
{{ end }}key={{ keyOrDefault "%(key)s" "none" }}
{{ range ls "%(key)s-tree" }}{{ .Key }}={{ .Value }}
{{ end }}nodes={{ len nodes }}
"""


def test_consul_template_renders_what_is(
    template: str, target: Target, registry: Registry, service: str, key: str, tmp_path: Path
) -> None:
    relay = target.fleet.relay()
    source, made = tmp_path / "in.tpl", tmp_path / "out"
    source.write_text(TEMPLATE % {"service": service, "key": key})
    registry.register(service, PORT, Tags=["a", "b"])
    # It renders when it has everything: that of a tree which is not there it waits for.
    registry.put(f"{key}-tree/one", "1")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [template, f"-consul-addr=127.0.0.1:{relay.port}", f"-template={source}:{made}"], stdout=log, stderr=log
        )

    def reads(*lines: str) -> None:
        until(
            lambda: made.exists() and set(lines) <= set(made.read_text().splitlines()),
            NOTICES_WITHIN_S,
            f"{lines} is written",
        )

    try:
        reads(f"{service} {HOST}:{PORT} a,b", "key=none", "one=1")
        registry.register(service, OTHER)
        registry.put(key, "value é")
        registry.put(f"{key}-tree/two", "2")
        reads(f"{service} {HOST}:{OTHER} ", "key=value é", "one=1", "two=2")
        registry.register(service, PORT, Check={"TTL": "60s"})
        until(lambda: f":{PORT}" not in made.read_text(), NOTICES_WITHIN_S, "a critical one is left out")
        registry.delete(key)
        reads("key=none")
        before = len(relay.exchanges)
        for turn in range(50):
            registry.put(f"{key}-neighbour", str(turn))
        registry.put(key, "last")
        reads("key=last")
        assert len(relay.exchanges) - before <= 5, [one.target for one in relay.exchanges[before:]]
    finally:
        process.send_signal(signal.SIGINT)  # the one that it ends on
        process.wait(10)
        relay.close()
    assert relay.violations == []
