"""Rules are created, changed, switched and deleted: many at once, each with an answer of its own, all in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, respond, text
from polaris_bridge.adapters.polaris.service.batches import batch_answer, not_a_batch, refused, worked
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.service.visible import ALL, Visible
from polaris_bridge.adapters.polaris.translate.routing import TYPE_URL
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.ports import Ids
from polaris_bridge.core.registry import Registry

from .checks import Defect
from .fields import put_text
from .fields import text as field_text
from .kinds import CREATE, DELETE, DESCRIBE, ENABLE, ID, NOTHING, UPDATE, Kind, Moment
from .listing import listing
from .records import document_of, enable, is_enabled, lift, message_of, same_rule

Do = Callable[[Any], v1.Response]


class Rules:
    """Every kind of rule: the operations of the console, on decoded messages."""

    def __init__(self, registry: Registry, ids: Ids, visible: Visible | None = None) -> None:
        """``visible``: what readers of lists see."""
        self._visible = visible or Visible()
        self._registry = registry
        self._documents = registry.documents
        self._ids = ids

    # ------------------------------------------------------------------ operations

    def create(self, kind: Kind, rules: Sequence[Any], caller: Caller) -> Outcome:
        """Keep new rules. An answer shows the request with its id; times and revisions are for those who ask later."""
        taken = _Names(self, kind)
        return self._batch(kind, rules, kind.check, lambda rule: self._create(kind, rule, taken, caller))

    def update(self, kind: Kind, rules: Sequence[Any], caller: Caller) -> Outcome:
        """Replace rules as a whole. One that says what it said already is left alone: clients need not read it again."""
        taken = _Names(self, kind)

        def check(rule: Any) -> Defect | None:
            return (None if kind.by_service else self._identified(kind, rule)) or kind.check(rule)

        return self._batch(kind, rules, check, lambda rule: self._update(kind, rule, taken, caller))

    def delete(self, kind: Kind, rules: Sequence[Any], caller: Caller) -> Outcome:
        """Forget rules. Success also for one that is not there."""
        taken = _Names(self, kind)
        return self._batch(
            kind, rules, lambda rule: self._identified(kind, rule), lambda rule: self._delete(kind, rule, taken, caller)
        )

    def enable(self, kind: Kind, rules: Sequence[Any], caller: Caller) -> Outcome:
        """Switch rules on or off; nothing else of the requests is looked at."""
        taken = _Names(self, kind)
        return self._batch(
            kind, rules, lambda rule: self._identified(kind, rule), lambda rule: self._enable(kind, rule, taken, caller)
        )

    def query(self, kind: Kind, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """A page of what the filters leave, the latest change first unless an order is asked for."""
        documents, sees = self._documents.all(kind.name), self._visible.documents(caller, DESCRIBE + kind.noun)
        return listing(kind, documents if sees is ALL else [d for d in documents if sees(d)], query)

    # ------------------------------------------------------------------ one rule

    def _create(self, kind: Kind, rule: Any, taken: _Names, caller: Caller) -> v1.Response:
        given = kind.id_of(rule) if kind.given_id or kind.by_service else ""
        id = given or self._ids.unique()
        if (given and self.known(kind, id)) or taken.by_other(rule, ""):
            return _refusal(kind, rule, Defect(kind.existed))
        revision = (field_text(rule, "revision") if kind.shows_revision else "") or self._revision(kind)
        document = lift(kind, rule, id, revision, None, self._moment())
        self._documents.put(document, caller)
        taken.note(document)
        answer = _copy(rule)
        put_text(answer, "id", id)
        if kind.shows_revision:
            put_text(answer, "revision", revision)
        return _done(kind, CREATE, answer)

    def _update(self, kind: Kind, rule: Any, taken: _Names, caller: Caller) -> v1.Response:
        before = self._find(kind, rule, taken)
        if before is None:
            return _refusal(kind, rule, Defect(kind.not_found))
        if taken.by_other(rule, before.id):
            return _refusal(kind, rule, Defect(kind.existed))
        document = lift(kind, rule, before.id, self._revision(kind), before, self._moment())
        if not same_rule(kind, document, before):
            self._documents.put(document, caller)
            taken.note(document)
        answer = _copy(rule)
        put_text(answer, "id", before.id)
        return _done(kind, UPDATE, answer)

    def _delete(self, kind: Kind, rule: Any, taken: _Names, caller: Caller) -> v1.Response:
        before = self._find(kind, rule, taken)
        if before is not None:
            self._documents.delete(kind.name, before.id, caller)
            taken.forget(before)
            rule = _copy(rule)
            put_text(rule, "id", before.id)
        return _done(kind, DELETE, rule)

    def _enable(self, kind: Kind, rule: Any, taken: _Names, caller: Caller) -> v1.Response:
        before = self._find(kind, rule, taken)
        if before is None:
            return _refusal(kind, rule, Defect(kind.not_found))
        on = is_enabled(kind, rule)
        if on != before.enabled:
            kept = message_of(kind, before)
            enable(kind, kept, on)
            put_text(kept, "revision", self._revision(kind))
            self._documents.put(document_of(kind, kept, before.id), caller)
        return _done(kind, ENABLE, rule)

    # ------------------------------------------------------------------ pieces

    def known(self, kind: Kind, id: str) -> Document | None:
        """A rule in the newest state."""
        return self._documents.newest(kind.name, id)

    def newest(self, kind: Kind) -> list[Document]:
        """Every rule of a kind in the newest state."""
        return self._documents.newest_all(kind.name)

    def _find(self, kind: Kind, rule: Any, taken: _Names) -> Document | None:
        """The rule that a request names."""
        id = kind.id_of(rule)
        found = self.known(kind, id) if id else None
        if found is None and kind.by_name:
            named = taken.holder(rule)
            found = self.known(kind, named) if named else None
        return found

    def _identified(self, kind: Kind, rule: Any) -> Defect | None:
        if kind.id_of(rule) or (kind.by_name and field_text(rule, "name")):
            return None
        return Defect(kind.no_id)

    def _revision(self, kind: Kind) -> str:
        return kind.prefix + self._ids.unique()

    def _moment(self) -> Moment:
        return Moment(local_time(self._registry.clock.wall_ms()), self._ids.unique)

    def _batch(self, kind: Kind, rules: Sequence[Any], check: Callable[[Any], Defect | None], do: Do) -> Outcome:
        refusal = not_a_batch(rules)
        if refusal is not None:
            return Outcome(refusal)
        defects = [(rule, check(rule)) for rule in rules]
        failed = [_refusal(kind, rule, defect) for rule, defect in defects if defect is not None]
        if failed:
            return Outcome(refused(failed))
        try:
            with self._registry.transaction() as commit:
                answers = [do(rule) for rule in rules]
        except CoreError as error:
            return Outcome(worked([respond(code_of(error)) for _ in rules]))
        return Outcome(worked(answers), commit)


class _Names:
    """Who has which name, within one batch: looked up once, and only when a kind's names matter."""

    def __init__(self, rules: Rules, kind: Kind) -> None:
        self._rules = rules
        self._kind = kind
        self._ids: dict[tuple[str, str], str] | None = None
        self._names: dict[str, tuple[str, str]] = {}

    def holder(self, rule: Message) -> str:
        """The id of the rule that has a name; empty when none has it."""
        if self._ids is None:
            self._ids = {}
            for document in self._rules.newest(self._kind):
                self.note(document)
        namespace = field_text(rule, "namespace") or self._kind.namespace
        return self._ids.get((namespace, field_text(rule, "name")), "")

    def by_other(self, rule: Message, id: str) -> bool:
        """Whether another rule than the one under an id has the name, where names have to differ."""
        return self._kind.names_differ and self.holder(rule) not in ("", id)

    def note(self, document: Document) -> None:
        """A rule has its name from now on, and no other."""
        if self._ids is not None:
            self.forget(document)
            self._names[document.id] = (document.namespace, document.name)
            self._ids[self._names[document.id]] = document.id

    def forget(self, document: Document) -> None:
        """A rule has no name any more."""
        name = self._names.pop(document.id, None)
        if self._ids is not None and name is not None:
            del self._ids[name]


def _copy(rule: Any) -> Any:
    copy = type(rule)()
    copy.CopyFrom(rule)
    return copy


def _done(kind: Kind, operation: str, rule: Any) -> v1.Response:
    echo = kind.echo[operation]
    if echo == NOTHING:
        return respond(v1.ExecuteSuccess)
    if echo == ID:
        only_id = type(rule)()
        put_text(only_id, "id", kind.id_of(rule))
        rule = only_id
    return respond(v1.ExecuteSuccess, **{kind.answer: _packed(kind, rule)})


def _refusal(kind: Kind, rule: Any, defect: Defect) -> v1.Response:
    info = f"{text(defect.code)}: {defect.why}" if defect.why else None
    if not kind.echo_refused:
        return respond(defect.code, info)
    return respond(defect.code, info, **{kind.answer: _packed(kind, rule)})


def _packed(kind: Kind, rule: Message) -> Any:
    return packed(rule) if kind.answer == "data" else rule


def packed(rule: Message) -> v1.Any:
    """A message of any type as a field of type ``Any``."""
    return v1.Any(type_url=TYPE_URL + rule.DESCRIPTOR.full_name, value=rule.SerializeToString(deterministic=True))


def deprecated() -> v1.BatchWriteResponse:
    """The answer of operations that the original took out of service."""
    return batch_answer(v1.BadRequest, (), _DEPRECATED)


def deprecated_item() -> v1.Response:
    """The same for one item of a batch."""
    return respond(v1.BadRequest, _DEPRECATED)


_DEPRECATED = f"{text(v1.BadRequest)}: API is Deprecated"
