"""Service contracts: reports of SDKs, what they are answered, and the console's calls."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from bottle import CALLER, Bottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.service.contracts import Contracts
from polaris_bridge.adapters.polaris.translate import contracts as form
from polaris_bridge.adapters.polaris.translate.keys import Document as Own
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Lease, NamespaceRecord, Registration, ServiceKey, ServiceRecord

MANUAL, CLIENT = v1.InterfaceDescriptor.Manual, v1.InterfaceDescriptor.Client


class Server:
    """A server with contracts, and words for what its clients do."""

    def __init__(self) -> None:
        self.bottle = Bottle()
        self.open()

    def open(self) -> None:
        numbers = itertools.count(1)
        registry = self.bottle.registry

        def target(key: ServiceKey) -> ServiceKey:
            record = registry.snapshot(key).record
            return record.reference if record is not None and record.reference is not None else key

        self.contracts = Contracts(registry, lambda: f"{next(numbers):032x}", target)

    def restart(self) -> None:
        self.bottle.restart()
        self.open()

    def report(self, *interfaces: v1.InterfaceDescriptor, **fields: Any) -> int:
        return self.bottle.answer(self.contracts.report(contract(*interfaces, **fields), CALLER)).code.value  # type: ignore[no-any-return]

    def get(self, **fields: Any) -> v1.Response:
        found: v1.Response = self.bottle.answer(self.contracts.get(contract(**fields), CALLER))
        return found

    def paths(self, **fields: Any) -> list[tuple[str, str, int]]:
        """Path, content and source of what is shown."""
        return [(i.path, i.content, i.source) for i in self.get(**fields).serviceContract.interfaces]

    def batch(self, call: str, *items: v1.ServiceContract) -> v1.BatchWriteResponse:
        found: v1.BatchWriteResponse = self.bottle.answer(getattr(self.contracts, call)(items, CALLER))
        return found

    def edit(self, call: str, *interfaces: v1.InterfaceDescriptor, **fields: Any) -> v1.Response:
        found: v1.Response = self.bottle.answer(getattr(self.contracts, call)(contract(*interfaces, **fields), CALLER))
        return found

    def list(self, call: str = "find", **query: str) -> tuple[v1.BatchQueryResponse, list[v1.ServiceContract]]:
        query_of = {name: [value] for name, value in query.items()}
        answer = self.bottle.answer(getattr(self.contracts, call)(query_of, CALLER))
        assert all(item.type_url == "type.googleapis.com/v1.ServiceContract" for item in answer.data)
        return answer, [v1.ServiceContract.FromString(item.value) for item in answer.data]


def contract(*interfaces: v1.InterfaceDescriptor, **fields: Any) -> v1.ServiceContract:
    names = {"namespace": "default", "service": "shop", "name": "x", "protocol": "http", "version": "1"}
    return v1.ServiceContract(**{**names, "interfaces": interfaces, **fields})


def api(path: str, content: str = "c", method: str = "GET", **fields: Any) -> v1.InterfaceDescriptor:
    return v1.InterfaceDescriptor(path=path, method=method, content=content, **fields)


@pytest.fixture
def server() -> Server:
    return Server()


def test_ids_are_those_of_a_real_server() -> None:
    recorded = contract(service="probe-1795358004")
    assert form.contract_id(recorded) == "ddfe67c49f93d8de5264dffe3948876d127a2e59"
    assert (
        form.interface_id(form.contract_id(recorded), api("/a"), CLIENT) == "3943b559990b4d0095c20c6d33d911be786140de"
    )
    assert form.contract_id(contract(id="mine")) == "mine"


def test_a_recorded_session_but_for_times_and_revisions(server: Server) -> None:
    """Report, get, get again with the revision: answers of polaris-server 1.19.0 (grpc-probe-1)."""
    asked = v1.ServiceContract.FromString(base64.b64decode("EgF4GgdkZWZhdWx0IhBwcm9iZS0xNzk1MzU4MDA0KgRodHRwMgEx"))
    reported = v1.ServiceContract.FromString(
        base64.b64decode("EgF4GgdkZWZhdWx0IhBwcm9iZS0xNzk1MzU4MDA0KgRodHRwMgExQgJ7fUoMEgNHRVQaAi9hIgFj")
    )
    expected = v1.Response.FromString(
        base64.b64decode(
            "CgQIwJoMEhEKD2V4ZWN1dGUgc3VjY2VzcypDChIKEHByb2JlLTE3OTUzNTgwMDQSCQoHZGVmYXVsdHoiCiBiYjFiZTA5ZmNkMzI0ZjUzODUz"
            "NjZhMmI2YTdlNTVmYvIBqwIKKGRkZmU2N2M0OWY5M2Q4ZGU1MjY0ZGZmZTM5NDg4NzZkMTI3YTJlNTkSAXgaB2RlZmF1bHQiEHByb2JlLTE3"
            "OTUzNTgwMDQqBGh0dHAyATE6IGJiMWJlMDlmY2QzMjRmNTM4NTM2NmEyYjZhN2U1NWZiQgJ7fUqEAQooMzk0M2I1NTk5OTBiNGQwMDk1YzIw"
            "YzZkMzNkOTExYmU3ODYxNDBkZRIDR0VUGgIvYSIBYygCMiA4MmEwZWU3NzRjZWQ0NmY2ODEyN2IxZGE0NTdjODE2YToTMjAyNi0xMS0yMiAx"
            "NDozMzoyNkITMjAyNi0xMS0yMiAxNDozMzoyNlITMjAyNi0xMS0yMiAxNDozMzoyNloTMjAyNi0xMS0yMiAxNDozMzoyNnIBeA=="
        )
    )
    report = server.bottle.answer(server.contracts.report(reported, CALLER))
    assert report.SerializeToString() == base64.b64decode("CgQIwJoMEhEKD2V4ZWN1dGUgc3VjY2Vzcw==")
    answer = server.contracts.get(asked, CALLER)
    now = local_time(server.bottle.clock.now_ms)
    shown = answer.serviceContract
    assert [shown.ctime, shown.mtime, shown.interfaces[0].ctime, shown.interfaces[0].mtime] == [now] * 4
    assert len(shown.revision) == len(shown.interfaces[0].revision) == 32
    assert answer.service.revision.value == shown.revision
    asked.revision = shown.revision
    unchanged = server.contracts.get(asked, CALLER)
    assert unchanged.SerializeToString() == base64.b64decode(
        "CgQIwZoMEhwKGmRpc2NvdmVyIGRhdGEgaXMgbm8gY2hhbmdlKh8KEgoQcHJvYmUtMTc5NTM1ODAwNBIJCgdkZWZhdWx0"
    )
    for response in (answer, expected):
        response.service.ClearField("revision")
        for part in (response.serviceContract, *response.serviceContract.interfaces):
            for field in ("revision", "ctime", "mtime"):
                part.ClearField(field)
    assert answer == expected


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"name": ""}, 400103), ({"protocol": ""}, 400103), ({"namespace": ""}, 400110), ({"name": "", "namespace": ""}, 400103)],
)  # fmt: skip
def test_a_question_that_lacks_a_name(server: Server, fields: dict[str, str], code: int) -> None:
    answer = server.get(**fields)
    assert answer.code.value == code
    assert answer.serviceContract == contract(**fields)
    assert (answer.service.name.value, answer.service.namespace.value) == ("shop", fields.get("namespace", "default"))


def test_what_is_not_there_is_not_found(server: Server) -> None:
    server.report(api("/a"))
    answer = server.get(version="2")
    assert (answer.code.value, answer.info.value) == (400202, "not found resource")
    assert not answer.HasField("serviceContract")
    assert answer.service == v1.Service(name={"value": "shop"}, namespace={"value": "default"})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"namespace": ""}, 400110), ({"namespace": "a b"}, 400110), ({"service": ""}, 400120), ({"service": "ß"}, 400120),
        ({"name": ""}, 400103), ({"protocol": ""}, 400103), ({"version": "v" * 129}, 400103),
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_kept(server: Server, fields: dict[str, str], code: int) -> None:
    assert server.report(api("/a"), **fields) == code
    assert server.list()[1] == []


def test_an_interface_without_a_path_refuses_the_report(server: Server) -> None:
    answer = server.bottle.answer(server.contracts.report(contract(api("/a"), api("")), CALLER))
    assert (answer.code.value, answer.info.value) == (400000, "invalid service_contract interface path")
    assert server.get().code.value == 400202


def test_the_same_report_again_changes_nothing(server: Server) -> None:
    assert server.report(api("/a"), api("/b"), content="{}") == 200000
    before, written = server.get(), server.bottle.store.writes
    server.bottle.pass_time(60)
    assert server.report(api("/a"), api("/b"), content="{}") == 200000
    assert server.get() == before
    assert server.bottle.store.writes == written


def test_another_report_exchanges_what_was_reported(server: Server) -> None:
    server.report(api("/a"), api("/b"))
    before = {i.path: i for i in server.get().serviceContract.interfaces}
    revision = server.get().service.revision.value
    server.bottle.pass_time(60)
    assert server.report(api("/a", "new"), api("/b"), api("/c")) == 200000
    after = {i.path: i for i in server.get(revision=revision).serviceContract.interfaces}
    assert after["/b"] == before["/b"], "the same interface, untouched"
    assert after["/a"].id == before["/a"].id
    assert after["/a"].revision != before["/a"].revision
    assert (after["/a"].content, after["/a"].ctime) == ("new", before["/a"].ctime)
    assert after["/a"].mtime > before["/a"].mtime
    assert server.report(api("/c")) == 200000
    assert server.paths() == [("/c", "c", CLIENT)]
    server.restart()
    assert server.paths() == [("/c", "c", CLIENT)]


def test_what_people_wrote_stays_and_hides_what_was_reported(server: Server) -> None:
    server.report(api("/a", "reported"), api("/b", "reported"))
    assert server.edit("put_interfaces", api("/a", "written"), api("/w", "written")).code.value == 200000
    expected = [("/b", "reported", CLIENT), ("/a", "written", MANUAL), ("/w", "written", MANUAL)]
    assert sorted(server.paths()) == sorted(expected)
    server.report(api("/a", "reported again"))
    assert sorted(server.paths()) == sorted(expected[1:])
    server.edit("put_interfaces")
    assert server.paths() == [("/a", "reported again", CLIENT)]


def test_interfaces_are_appended_and_deleted(server: Server) -> None:
    for call in ("put_interfaces", "append_interfaces", "delete_interfaces"):
        assert server.edit(call, api("/a")).code.value == 400202, call
        assert server.edit(call, api("/a"), name="").code.value == 400000, call
    server.report(api("/r"))
    server.edit("append_interfaces", api("/a"))
    server.edit("append_interfaces", api("/b"), api("/a", "new"))
    assert server.paths() == [("/r", "c", CLIENT), ("/b", "c", MANUAL), ("/a", "new", MANUAL)]
    assert server.edit("append_interfaces", api("")).info.value == "invalid service_contract interface path"
    server.edit("delete_interfaces", api("/b"), api("/r"), api("/unknown"))
    assert server.paths() == [("/r", "c", CLIENT), ("/a", "new", MANUAL)], "by names only what people wrote"
    by_id = next(i.id for i in server.get().serviceContract.interfaces if i.path == "/r")
    server.edit("delete_interfaces", v1.InterfaceDescriptor(id=by_id))
    assert server.paths() == [("/a", "new", MANUAL)]


def test_one_is_named_by_its_id_too(server: Server) -> None:
    server.report(api("/r"))
    id = server.get().serviceContract.id
    only_id = {"id": id, "namespace": "", "service": "", "name": "", "protocol": "", "version": ""}
    assert server.edit("append_interfaces", api("/a"), **only_id).code.value == 200000
    other = {"id": id, "service": "another"}
    assert server.edit("append_interfaces", api("/x"), **other).code.value == 400202, "of another service's rights"
    assert server.report(api("/x"), **other) == 400201
    assert server.batch("delete", contract(**other)).code.value == 200000
    assert [path for path, _, _ in server.paths()] == ["/r", "/a"]
    assert server.batch("delete", contract(**only_id)).code.value == 200000
    assert server.get().code.value == 400202


def test_an_alias_has_the_contracts_of_its_target(server: Server) -> None:
    server.report(api("/a"))
    registry = server.bottle.registry
    registry.put_namespace(NamespaceRecord("default"), CALLER)
    registry.put_service(ServiceRecord("default", "shop"), CALLER)
    registry.put_service(ServiceRecord("default", "store", reference=ServiceKey("default", "shop")), CALLER)
    server.bottle.queue.settle()
    answer = server.get(service="store")
    assert (answer.service.name.value, answer.serviceContract.service) == ("store", "shop")


def test_no_field_of_newer_clients_is_lost(server: Server) -> None:
    feature = v1.ServiceFeature(id="f1")
    more = {"metadata": {"k": "v"}, "content_digest": "d1", "service_features": [feature], "content": "{}"}
    server.report(api("/a", content_digest="d2", version="9"), **more)
    server.restart()
    shown = server.get().serviceContract
    assert (dict(shown.metadata), shown.content_digest, shown.content) == ({"k": "v"}, "d1", "{}")
    assert list(shown.service_features) == [feature]
    assert (shown.interfaces[0].content_digest, shown.interfaces[0].version) == ("d2", "9")


def test_the_console_makes_changes_and_deletes(server: Server) -> None:
    answer = server.batch("create", contract(content="1"), contract(name="y", content="1"))
    assert (answer.code.value, answer.size.value) == (200000, 2)
    answer = server.batch("create", contract(content="1"), contract(name="y", content="2"))
    assert [r.code.value for r in answer.responses] == [200002, 200000]
    assert (answer.code.value, server.get(name="y").serviceContract.content) == (200000, "2")
    assert server.batch("create", contract(content="1")).code.value == 200002
    assert server.batch("delete", contract(), contract(name="unknown")).code.value == 200000
    assert [c.name for c in server.list()[1]] == ["y"]
    server.restart()
    assert [c.name for c in server.list()[1]] == ["y"]


def test_a_batch_is_judged_before_any_work(server: Server) -> None:
    answer = server.batch("create", contract(), contract(name=""), contract(namespace="ä"), contract(protocol=""))
    assert answer.code.value == 400110
    assert [(r.code.value, r.info.value) for r in answer.responses] == [
        (400000, "invalid service_contract name"),
        (400110, "invalid namespace name"),
        (400000, "invalid service_contract protocol"),
    ]
    assert server.list()[1] == []
    assert server.batch("create").code.value == 400002
    assert server.batch("delete", *[contract()] * 101).code.value == 400003


def test_a_write_that_the_store_refuses(server: Server) -> None:
    server.bottle.store.broken = True
    assert server.report(api("/a")) == 500001
    assert server.edit("append_interfaces", api("/a")).code.value == 400202
    assert server.batch("create", contract()).code.value == 500001
    server.bottle.store.broken = False
    assert server.get().code.value == 400202


def test_the_list_and_its_filters(server: Server) -> None:
    for number, name in enumerate(("orders", "users", "user-admin")):
        server.report(
            api(f"/{name}", name="list"), name=name, service=f"s{number}", version=str(number), content="text"
        )
        server.bottle.pass_time(1)

    def names(**query: str) -> list[str]:
        return [c.name for c in server.list(**query)[1]]

    assert names() == ["user-admin", "users", "orders"], "the latest change first"
    assert names(name="user*") == ["user-admin", "users"]
    assert names(type="*s") == ["users", "orders"]
    assert names(service="s1") == ["users"]
    assert names(namespace="other") == []
    assert names(interface_path="/orders", interface_name="list") == ["orders"]
    assert names(brief="true", colour="red", service="") == ["user-admin", "users", "orders"]
    answer, page = server.list(limit="1", offset="1")
    assert (answer.amount.value, answer.size.value, page[0].name) == (3, 1, "users")
    assert (page[0].type, page[0].content, page[0].status) == ("users", "text", "Offline")
    assert server.list(limit="x")[0].code.value == 400103


def test_a_contract_is_online_while_an_instance_of_its_version_is_healthy(server: Server) -> None:
    server.report(api("/a"), version="1")
    server.report(api("/a"), version="2")
    r = Registration(
        "polaris", "default", "i1", "shop", "10.0.0.1", 80, version="2", liveness=Lease(5000, 15000, 0, False),
        ext=Own(health_check=True, ttl_s=5),
    )  # fmt: skip
    server.bottle.registry.register(r, CALLER)
    server.bottle.queue.settle()
    assert {c.version: c.status for c in server.list()[1]} == {"1": "Offline", "2": "Online"}
    server.bottle.pass_time(17)
    assert {c.version: c.status for c in server.list()[1]} == {"1": "Offline", "2": "Offline"}


def test_versions_without_contents(server: Server) -> None:
    server.report(api("/a"), content="long", version="1")
    server.report(api("/a"), content="long", version="2")
    server.report(api("/a"), service="other")
    answer, found = server.list("versions", namespace="default", service="shop")
    assert answer.amount.value == 2
    assert sorted(c.version for c in found) == ["1", "2"]
    assert all(c.revision and not c.content and not c.interfaces for c in found)
    answer, _ = server.list("versions", service="shop")
    assert (answer.code.value, answer.info.value) == (400103, "namespace is empty")


def test_routes_name_each_call_once(server: Server) -> None:
    routes = server.contracts.routes()
    assert {(r.method, r.path) for r in routes} == {
        ("POST", "/naming/v1/service/contracts"),
        ("GET", "/naming/v1/service/contracts"),
        ("POST", "/naming/v1/service/contracts/delete"),
        ("GET", "/naming/v1/service/contract/versions"),
        ("POST", "/naming/v1/service/contract/methods"),
        ("PUT", "/naming/v1/service/contract/methods/append"),
        ("POST", "/naming/v1/service/contract/methods/delete"),
    }
    assert len(routes) == len({r.operation for r in routes}) == 7


interfaces = st.lists(
    st.builds(api, st.sampled_from(["/a", "/b", "/c"]), st.sampled_from(["1", "2"]), st.sampled_from(["GET", "PUT"])),
    max_size=4,
)
steps = st.lists(st.tuples(st.sampled_from(["report", "put", "append", "delete"]), interfaces), max_size=8)


@given(steps)
def test_interfaces_against_a_naive_model(todo: list[tuple[str, list[v1.InterfaceDescriptor]]]) -> None:
    server = Server()
    server.report()
    model: dict[int, dict[tuple[str, str], str]] = {MANUAL: {}, CLIENT: {}}
    for call, given_ in todo:
        said = {(i.path, i.method): i.content for i in given_}
        if call == "report":
            server.report(*given_)
            model[CLIENT] = said
        else:
            server.edit(f"{call}_interfaces", *given_)
            if call == "delete":
                model[MANUAL] = {k: v for k, v in model[MANUAL].items() if k not in said}
            else:
                model[MANUAL] = said if call == "put" else {**model[MANUAL], **said}
    shown = {(i.path, i.method): (i.content, i.source) for i in server.get().serviceContract.interfaces}
    assert shown == {k: (v, source) for source in (CLIENT, MANUAL) for k, v in model[source].items()}
