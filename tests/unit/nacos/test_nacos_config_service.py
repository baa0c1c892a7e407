"""The facade of Nacos configurations: what it asks of the configuration centre, and what it refuses."""

from __future__ import annotations

import hashlib

import pytest
from http_bottle import STRANGER, HttpBottle

from polaris_bridge.adapters.nacos.service.config.configs import Configs
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.config import asker_of
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import CAS_FAILED, CAS_GRAY_FAILED, Publication
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.config.model import Change, Done, FileKey, GrayRule, Match
from polaris_bridge.core.config.ports import Defect, NoFormats, NoSealing, Sealed
from polaris_bridge.core.model import Caller

CALLER = Caller("nacos", "10.9.9.9", "su")
ANYBODY = asker_of("10.9.9.9")


class Desk:
    """The facade over a store in memory."""

    def __init__(self, settings: NacosSettings | None = None) -> None:
        self.bottle = HttpBottle(settings)
        self.configs: Configs = self.bottle.service.configs
        self.centre = self.bottle.registry.config
        self.key = self.configs.key("a", "G")

    def publish(self, content: bytes = b"x", **said: object) -> Done:
        done = self.configs.publish(self.key, Publication(content=content, **said), CALLER)  # type: ignore[arg-type]
        self.bottle.timers.settle()
        return done

    def content(self, ip: str = "10.9.9.9", tag: str = "") -> bytes | None:
        found = self.configs.query(self.key, asker_of(ip, tag), tag)
        return None if found is None else found.content


@pytest.fixture
def desk() -> Desk:
    return Desk()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_namespaces(desk: Desk) -> None:
    same = {desk.configs.key("a", "G", tenant) for tenant in ("", "public", "Public", "null", " ")}
    assert same == {FileKey("default", "G", "a")}
    assert desk.configs.key("a", "G", "dev").namespace == "dev"
    assert desk.configs.key("a", "G", "default").namespace == "nacos.default", "another one than public, as on Nacos"


def test_a_publication_is_seen_when_it_is_durable(desk: Desk) -> None:
    done = desk.configs.publish(desk.key, Publication(content=b"one"), CALLER)
    assert (done.commit.done, desk.content()) == (False, None)
    desk.bottle.timers.settle()
    assert (done.commit.done, desk.content()) == (True, b"one")


def test_an_identical_publication_is_a_line_of_history_and_no_news(desk: Desk) -> None:
    desk.publish(b"one", desc="D")
    told: list[object] = []
    watcher = desk.centre.watches.standing_watcher([desk.key], lambda: told.append(desk.content()))
    watcher.arm(desk.centre.watches.newest)
    seen = desk.configs.query(desk.key, ANYBODY)
    desk.publish(b"one", desc="D")
    assert desk.centre.history.of(desk.key).total == 2
    again = desk.configs.query(desk.key, ANYBODY)
    assert seen is not None
    assert again is not None
    assert (again.md5, again.content) == (seen.md5, seen.content)
    assert told == [b"one"], "looked at, and found to be the same"


def test_two_publications_before_either_is_durable_keep_what_both_said(desk: Desk) -> None:
    for said in ({"app": "app", "tags": ("t",)}, {"use": "U"}):
        desk.configs.publish(desk.key, Publication(content=b"x", **said), CALLER)  # type: ignore[arg-type]
    desk.bottle.timers.settle()
    snapshot = desk.configs.detail(desk.key)
    assert snapshot is not None
    assert snapshot.file is not None
    assert snapshot.file.draft.ext == {"nacos": {"app": "app", "use": "U"}}
    assert snapshot.file.draft.tags == {"t": ""}


@pytest.mark.parametrize("said", [{}, {"beta_ips": "10.9.9.9"}, {"tag": "T"}])
def test_cas_is_about_what_is_replaced(desk: Desk, said: dict[str, str]) -> None:
    desk.publish(b"one", cas_md5="whatever", **said)
    with pytest.raises(Refused) as refused:
        desk.publish(b"two", cas_md5="whatever", **said)
    error = refused.value
    assert (error.status, error.code) == (500, codes.RESOURCE_CONFLICT)
    assert error.text == (CAS_GRAY_FAILED if said else CAS_FAILED)
    desk.publish(b"two", cas_md5=md5(b"one"), **said)
    assert desk.content(tag=said.get("tag", "")) == b"two"


def test_a_gray_release_of_3x_by_its_name(desk: Desk) -> None:
    desk.publish(b"formal")
    desk.publish(b"mine", gray_name="mine", gray_type="tag", gray_rule="T")
    assert (desk.content(), desk.content(tag="T")) == (b"formal", b"mine")
    assert desk.configs.stop(desk.key, "mine", CALLER) is not None
    desk.bottle.timers.settle()
    assert desk.content(tag="T") is None


def test_a_beta_without_addresses_is_none(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        desk.publish(beta_ips=" , ")
    assert (refused.value.status, refused.value.code) == (400, codes.GRAY_RULE)


def test_too_many_gray_releases(desk: Desk) -> None:
    for n in range(10):
        desk.publish(tag=f"t{n}")
    with pytest.raises(Refused) as refused:
        desk.publish(beta_ips="1.1.1.1")
    assert (refused.value.code, refused.value.text) == (codes.GRAY_COUNT, "gray config version is over max count :10")
    desk.publish(b"new", tag="t9")
    assert desk.content(tag="t9") == b"new"


def test_removing_is_done_when_there_is_nothing(desk: Desk) -> None:
    assert desk.configs.remove(desk.key, "", CALLER).done
    assert desk.configs.remove(desk.key, "T", CALLER).done
    assert desk.configs.stop_beta(desk.key, CALLER) is None
    desk.publish(tag="T")
    first = desk.configs.remove(desk.key, "T", CALLER)
    second = desk.configs.remove(desk.key, "T", CALLER)
    assert (first.done, second.done) == (False, False), "nothing is said to be gone before it is"
    desk.bottle.timers.settle()
    assert (first.done, second.done, first.error, second.error) == (True, True, None, None)


def test_a_removal_takes_all_of_it(desk: Desk) -> None:
    desk.publish(b"formal")
    desk.publish(b"beta", beta_ips="10.9.9.9")
    desk.configs.remove(desk.key, " ", CALLER)
    desk.bottle.timers.settle()
    assert (desk.content(), desk.configs.beta(desk.key), desk.configs.detail(desk.key)) == (None, None, None)


def test_what_nacos_could_not_name_is_not_shown(desk: Desk) -> None:
    for name in ("dir/a", "ä", "n" * 257):
        key = FileKey("default", "G", name)
        desk.centre.releases.publish(key, STRANGER, change=Change(content=b"x"))
        desk.bottle.timers.settle()
        assert desk.configs.detail(key) is None
    draft = FileKey("default", "G", "draft")
    desk.centre.files.create(draft, Change(content=b"x"), STRANGER)
    desk.bottle.timers.settle()
    assert desk.configs.detail(draft) is None


def test_an_empty_file_of_another_protocol_is_there_or_its_clients_would_ask_for_ever(desk: Desk) -> None:
    desk.centre.releases.publish(desk.key, STRANGER, change=Change(content=b""))
    desk.bottle.timers.settle()
    found = desk.configs.query(desk.key, ANYBODY)
    assert found is not None
    assert (found.content, found.md5) == (b"", md5(b""))


def test_a_rule_that_nacos_cannot_say_holds(desk: Desk) -> None:
    desk.publish(b"formal")
    rule = GrayRule((Match("env", values=("test",)),), ("10.9.9.9",))
    desk.centre.releases.publish_gray(desk.key, STRANGER, "gray", rule, change=Change(content=b"gray"))
    desk.bottle.timers.settle()
    assert desk.content() == b"formal"
    labelled = desk.configs.query(desk.key, asker_of("10.9.9.9", labels={"env": "test"}))
    assert labelled is not None
    assert (labelled.content, labelled.gray, labelled.beta, labelled.tag) == (b"gray", True, False, "")


class _Rot(NoSealing):
    algorithms = ("AES",)

    def seal(self, algorithm: str, content: bytes, data_key: bytes) -> Sealed:
        return Sealed(content[::-1], b"key")

    def open(self, algorithm: str, content: bytes, data_key: bytes) -> bytes:
        return content[::-1]


def test_a_file_that_is_encrypted_is_given_as_it_is_kept(desk: Desk) -> None:
    desk.centre.use(sealing=_Rot())
    desk.centre.releases.publish(desk.key, STRANGER, change=Change(content=b"abc", algorithm="AES"))
    desk.bottle.timers.settle()
    found = desk.configs.query(desk.key, ANYBODY)
    assert found is not None
    assert (found.content, found.md5) == (b"cba", md5(b"cba"))
    desk.publish(b"xyz")
    assert desk.content() == b"xyz", "who publishes here reads what it published"


def test_what_clients_encrypted_travels_untouched(desk: Desk) -> None:
    desk.publish(b"c2VjcmV0", encrypted_data_key="key-of-the-client")
    found = desk.configs.query(desk.key, ANYBODY)
    assert found is not None
    assert (found.content, found.encrypted_data_key) == (b"c2VjcmV0", "key-of-the-client")


class _Strict(NoFormats):
    def defect(self, format: str, content: bytes) -> Defect | None:
        return Defect(3, 7, "bad") if format == "json" else None


def test_formats_are_held_to_when_the_settings_say_so() -> None:
    for strict in (True, False):
        desk = Desk(NacosSettings(validate_format=strict))
        desk.centre.use(formats=_Strict())
        desk.publish(type="yaml")
        if strict:
            with pytest.raises(Refused) as refused:
                desk.publish(type="json")
            error = refused.value
            assert (error.status, error.code) == (400, codes.PARAMETER_VALIDATE)
            assert error.text == "content is not json: line 3, column 7: bad"
        else:
            desk.publish(type="json")


def test_the_bound_of_a_content_is_of_this_door_alone(desk: Desk) -> None:
    big = b"x" * (10 * 1024 * 1024 + 1)
    with pytest.raises(Refused, match="invalid content, over 10485760"):
        desk.publish(big)
    desk.centre.releases.publish(desk.key, STRANGER, change=Change(content=big))
    desk.bottle.timers.settle()
    assert desk.content() == big
