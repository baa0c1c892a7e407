"""Service contracts: what services report of their interfaces, what SDKs ask of it, and what consoles do with it.

A contract is a document about its service. The rules are those of polaris-server 1.19 with three differences: a contract that
is not there is answered 400202 (there: 200000 and an empty one), a report that says nothing new changes no revision, and
``versions`` lists them (there: nothing, with the embedded store).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, respond
from polaris_bridge.adapters.polaris.translate import contracts as form
from polaris_bridge.adapters.polaris.translate.contracts import CLIENT, MANUAL, BadInterface
from polaris_bridge.adapters.polaris.translate.shown import healthy, seen
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller, Document, ServiceKey
from polaris_bridge.core.registry import Registry

from .batches import not_a_batch, refused, worked
from .console.names import is_name
from .console.work import joined
from .queries import BadQuery, bad_query, filters_of, list_answer, wild
from .routes import Handle, Query, Route, Takes
from .visible import Visible

KIND: Final = "contract"
"""The documents that contracts are."""
OK: Final[int] = v1.ExecuteSuccess

_FILTERS: Final = (
    "id",
    "namespace",
    "service",
    "name",
    "type",
    "protocol",
    "version",
    "interface_name",
    "interface_path",
)
_MAX_NAME: Final = 128
_MAX_NAMESPACE: Final = 64
_ONLINE: Final = "Online"
_OFFLINE: Final = "Offline"

Change = Callable[[list[v1.InterfaceDescriptor]], list[v1.InterfaceDescriptor]]


class Contracts:
    """The contracts of one registry."""

    def __init__(
        self,
        registry: Registry,
        unique: Callable[[], str],
        target: Callable[[ServiceKey], ServiceKey] = lambda key: key,
        visible: Visible | None = None,
    ) -> None:
        """``unique`` makes revisions; ``target`` tells the service that a name means (aliases)."""
        self._registry = registry
        self._documents = registry.documents
        self._unique = unique
        self._target = target
        self._visible = visible or Visible()

    # ------------------------------------------------------------------ SDKs

    def report(self, contract: v1.ServiceContract, caller: Caller) -> Outcome:
        """ReportServiceContract: the contract is made or changed, its interfaces of source Client exchanged."""
        answer = _check(contract, v1.InvalidParameter)
        if answer is not None:
            return Outcome(answer)
        return self._guarded(lambda: self._report(contract, caller))

    def _report(self, contract: v1.ServiceContract, caller: Caller) -> Outcome:
        kept = self._newest(contract)
        if kept is not None and not _same_place(kept, contract):
            return Outcome(respond(v1.ExistedResource))
        new = self._interfaces(form.contract_id(contract), contract, CLIENT)
        return self._write(contract, kept, lambda before: form.replaced(before, new, CLIENT), caller) or Outcome(
            respond(OK)
        )

    def get(self, contract: v1.ServiceContract, _caller: Caller) -> v1.Response:
        """GetServiceContract: the contract by its names; 200001 when the client has this revision already."""
        code = _asked(contract)
        service = v1.Service(name={"value": contract.service}, namespace={"value": contract.namespace})
        if code != OK:
            return respond(code, service=service, serviceContract=contract)
        key = self._target(ServiceKey(contract.namespace, contract.service))
        wanted = form.asked_label(contract)
        document = next((d for d in self._documents.about(KIND, key) if d.name == wanted), None)
        if document is None:
            return respond(v1.NotFoundResource, service=service)
        kept = v1.ServiceContract.FromString(document.body)
        if contract.revision and contract.revision == kept.revision:
            return respond(v1.DataNoChange, service=service)
        service.revision.value = kept.revision
        return respond(OK, service=service, serviceContract=_shown(document))

    # ------------------------------------------------------------------ console: contracts

    def create(self, contracts: Sequence[v1.ServiceContract], caller: Caller) -> Outcome:
        """Make contracts, or change what is said of those that are there; 200002 when that is what they say already."""

        def do(contract: v1.ServiceContract) -> Outcome:
            kept = self._newest(contract)
            if kept is not None and not _same_place(kept, contract):
                return Outcome(respond(v1.ExistedResource))
            new = self._interfaces(form.contract_id(contract), contract, MANUAL)
            return self._write(contract, kept, lambda before: form.appended(before, new), caller) or Outcome(
                respond(v1.NoNeedUpdate)
            )

        return self._each(contracts, lambda m: _check(m, v1.BadRequest), do)

    def delete(self, contracts: Sequence[v1.ServiceContract], caller: Caller) -> Outcome:
        """Delete contracts with their interfaces, by id or by their names. Deleting what is not there succeeds."""

        def do(contract: v1.ServiceContract) -> Outcome:
            kept = self._newest(contract)
            if kept is None or not _same_place(kept, contract):
                return Outcome(respond(OK))
            commit = self._documents.delete(KIND, kept.id, caller)
            return Outcome(respond(OK)) if commit is None else Outcome(respond(OK), commit)

        return self._each(contracts, lambda _m: None, do)

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Contracts by their names (``*`` at either end), the latest change first. ``status``: whether a healthy instance of
        the service has the contract's version. Unknown filters are ignored, as there."""
        known = {name: values for name, values in query.items() if name in (*_FILTERS, "offset", "limit")}
        try:
            page, filters = filters_of(known, _FILTERS)
        except BadQuery as error:
            return bad_query(error)
        sees = self._visible.services(caller, "DescribeServiceContracts")
        found = [d for d in self._latest() if _passes(d, filters) and all(map(sees, d.targets))]
        part = found[page.offset : page.offset + page.limit]
        answer = list_answer(OK, len(found), len(part))
        for document in part:
            m = _shown(document)
            m.status = self._status(m)
            _pack(answer, m)
        return answer

    def versions(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """The contracts of one service without their contents."""
        first = {name: values[0] for name, values in query.items() if values}
        namespace, service = first.get("namespace", ""), first.get("service", "")
        if not namespace:
            answer = list_answer(v1.InvalidParameter, 0, 0)
            answer.info.value = "namespace is empty"
            return answer
        key = ServiceKey(namespace, service)
        seen = self._visible.services(caller, "DescribeServiceContractVersions")(key)
        found = [d for d in self._latest() if seen and d.targets == (key,)]
        answer = list_answer(OK, len(found), len(found))
        for document in found:
            _pack(answer, _shown(document, full=False))
        return answer

    # ------------------------------------------------------------------ console: interfaces

    def put_interfaces(self, contract: v1.ServiceContract, caller: Caller) -> Outcome:
        """Exchange the interfaces that people wrote."""
        return self._edit(contract, caller, lambda before, new: form.replaced(before, new, MANUAL))

    def append_interfaces(self, contract: v1.ServiceContract, caller: Caller) -> Outcome:
        """Add interfaces, or change those with the same ids."""
        return self._edit(contract, caller, form.appended)

    def delete_interfaces(self, contract: v1.ServiceContract, caller: Caller) -> Outcome:
        """Delete interfaces by id or by their names, of those that people wrote."""

        def without(
            before: list[v1.InterfaceDescriptor], gone: list[v1.InterfaceDescriptor]
        ) -> list[v1.InterfaceDescriptor]:
            ids = {m.id for m in gone}
            return [m for m in before if m.id not in ids]

        return self._edit(contract, caller, without)

    def _edit(
        self,
        contract: v1.ServiceContract,
        caller: Caller,
        change: Callable[[list[v1.InterfaceDescriptor], list[v1.InterfaceDescriptor]], list[v1.InterfaceDescriptor]],
    ) -> Outcome:
        """Change the interfaces of a contract that is there: 400202 else."""
        answer = None if contract.id else _check(contract, v1.BadRequest)
        if answer is not None:
            return Outcome(answer)

        def do() -> Outcome:
            kept = self._newest(contract)
            if kept is None or not _same_place(kept, contract):
                return Outcome(respond(v1.NotFoundResource))
            new = self._interfaces(kept.id, contract, MANUAL)
            return self._write(None, kept, lambda before: change(before, new), caller) or Outcome(respond(OK))

        return self._guarded(do)

    # ------------------------------------------------------------------ pieces

    def _newest(self, contract: v1.ServiceContract) -> v1.ServiceContract | None:
        document = self._documents.newest(KIND, form.contract_id(contract))
        return None if document is None else v1.ServiceContract.FromString(document.body)

    def _interfaces(self, id: str, contract: v1.ServiceContract, source: int) -> list[v1.InterfaceDescriptor]:
        return form.made(id, contract.interfaces, source, self._unique, local_time(self._registry.clock.wall_ms()))

    def _write(
        self, given: v1.ServiceContract | None, kept: v1.ServiceContract | None, change: Change, caller: Caller
    ) -> Outcome | None:
        """Keep a contract as it is afterwards. None when nothing changes."""
        m = v1.ServiceContract()
        if kept is not None:
            m.CopyFrom(kept)
        elif given is not None:
            m.id = form.contract_id(given)
            m.namespace, m.service = given.namespace, given.service
            m.name, m.type = form.title(given), given.type or given.name
            m.protocol, m.version = given.protocol, given.version
        if given is not None:
            form.adopt(m, given)
        interfaces = change(list(m.interfaces))
        m.ClearField("interfaces")
        m.interfaces.extend(interfaces)
        if m == kept:
            return None
        m.revision = self._unique()
        service = ServiceKey(m.namespace, m.service)
        body = m.SerializeToString(deterministic=True)
        document = Document(KIND, m.id, m.namespace, form.label(m), targets=(service,), body=body)
        return Outcome(respond(OK), self._documents.put(document, caller))

    def _guarded(self, do: Callable[[], Outcome]) -> Outcome:
        try:
            return do()
        except BadInterface:
            return Outcome(respond(v1.BadRequest, "invalid service_contract interface path"))
        except CoreError as error:
            return Outcome(respond(code_of(error)))

    def _each(
        self,
        contracts: Sequence[v1.ServiceContract],
        check: Callable[[v1.ServiceContract], v1.Response | None],
        do: Callable[[v1.ServiceContract], Outcome],
    ) -> Outcome:
        """Judge all, then do one after another. Answers of this API echo nothing."""
        answer = not_a_batch(contracts)
        if answer is not None:
            return Outcome(answer)
        wrong = [answer for answer in map(check, contracts) if answer is not None]
        if wrong:
            return Outcome(refused(wrong))
        done = [self._guarded(partial(do, m)) for m in contracts]
        return joined(worked([cast(v1.Response, one.response) for one in done]), done)

    def _latest(self) -> list[Document]:
        """All contracts, the latest change first."""
        return sorted(self._documents.newest_all(KIND), key=lambda d: (-d.updated_ms, d.id))

    def _status(self, contract: v1.ServiceContract) -> str:
        snapshot = self._registry.snapshot(self._target(ServiceKey(contract.namespace, contract.service)))
        alive = any(
            s.registration.version == contract.version and healthy(s)
            for address in snapshot.addresses.values()
            for s in seen(address)
        )
        return _ONLINE if alive else _OFFLINE

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        return (
            _write_route("POST", "s", "CreateServiceContracts", self.create, "list", "Contracts are made or changed."),
            _write_route(
                "POST", "s/delete", "DeleteServiceContracts", self.delete, "list", "Contracts are deleted, by id or names."
            ),
            _read_route("s", "DescribeServiceContracts", self.find, _FILTERS, "A page of contracts, the latest change first."),
            _read_route(
                "/versions", "DescribeServiceContractVersions", self.versions, ("namespace", "service"),
                "The contracts of one service, without contents.",
            ),
            _write_route(
                "POST", "/methods", "CreateServiceContractInterfaces", self.put_interfaces, "one",
                "The interfaces that people wrote are exchanged.",
            ),
            _write_route(
                "PUT", "/methods/append", "AppendServiceContractInterfaces", self.append_interfaces, "one",
                "Interfaces are added.",
            ),
            _write_route(
                "POST", "/methods/delete", "DeleteServiceContractInterfaces", self.delete_interfaces, "one",
                "Interfaces are deleted, by id or names.",
            ),
        )  # fmt: skip


_PATH: Final = "/naming/v1/service/contract"


def _write_route(method: str, path: str, operation: str, handle: Handle, takes: Takes, about: str) -> Route:
    return Route(
        method=method,
        path=_PATH + path,
        operation=operation,
        handle=handle,
        takes=takes,
        request="ServiceContract",
        response="BatchWriteResponse" if takes == "list" else "Response",
        about=about,
    )


def _read_route(path: str, operation: str, handle: Handle, query: tuple[str, ...], about: str) -> Route:
    return Route(
        method="GET",
        path=_PATH + path,
        operation=operation,
        handle=handle,
        response="BatchQueryResponse",
        include=frozenset({"default", "default-read"}),
        about=about,
        query=(*query, "offset", "limit") if query is _FILTERS else query,
    )


def _check(m: v1.ServiceContract, unnamed: int) -> v1.Response | None:
    """What is wrong with the names of a contract. ``unnamed``: the code of one without name or protocol."""
    if not is_name(m.namespace) or len(m.namespace) > _MAX_NAMESPACE:
        return respond(v1.InvalidNamespaceName)
    if not is_name(m.service) or len(m.service) > _MAX_NAME:
        return respond(v1.InvalidServiceName)
    for field, value in (("name", form.title(m)), ("protocol", m.protocol)):
        if not value:
            return respond(unnamed, f"invalid service_contract {field}")
    if max(map(len, (form.title(m), m.protocol, m.version, m.id))) > _MAX_NAME:
        return respond(v1.InvalidParameter)
    return None


def _asked(m: v1.ServiceContract) -> int:
    """200000, or what a question for a contract lacks: its name, its namespace, its protocol, in this order."""
    if not form.title(m):
        return v1.InvalidParameter
    if not m.namespace:
        return v1.InvalidNamespaceName
    return OK if m.protocol else v1.InvalidParameter


def _same_place(kept: v1.ServiceContract, given: v1.ServiceContract) -> bool:
    """Whether a contract named by its id is of the service that the request names, if it names one: rights are judged by
    what a request names."""
    return given.namespace in ("", kept.namespace) and given.service in ("", kept.service)


def _shown(document: Document, *, full: bool = True) -> v1.ServiceContract:
    kept = v1.ServiceContract.FromString(document.body)
    return form.shown(kept, local_time(document.created_ms), local_time(document.updated_ms), full=full)


def _pack(answer: Any, m: v1.ServiceContract) -> None:
    """Add a contract to a list, as what it is."""
    answer.data.add(type_url=f"type.googleapis.com/{m.DESCRIPTOR.full_name}", value=m.SerializeToString())


def _passes(document: Document, filters: dict[str, str]) -> bool:
    """Whether a contract is one of those asked for. It is decoded only when what stands around it does not decide."""
    (service,) = document.targets
    around = {"id": document.id, "namespace": service.namespace, "service": service.name}
    if not all(wild(filters[name], value) for name, value in around.items() if name in filters):
        return False
    if filters.keys() <= around.keys():
        return True
    m = v1.ServiceContract.FromString(document.body)
    within = {
        "name": [m.type or m.name],
        "type": [m.type or m.name],
        "protocol": [m.protocol],
        "version": [m.version],
        "interface_name": [i.type or i.name for i in m.interfaces],
        "interface_path": [i.path for i in m.interfaces],
    }
    return all(any(wild(filters[name], value) for value in said) for name, said in within.items() if name in filters)
