"""One configuration centre behind two protocols: what is published through one is read, told and deleted through the other."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from polaris_bridge.adapters.nacos.service.config.configs import Configs
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate import config as nacos_translate
from polaris_bridge.adapters.nacos.translate.names import Spaces
from polaris_bridge.adapters.nacos.wire.config import Content, Publication
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.polaris.service.config.clients import ConfigClients
from polaris_bridge.adapters.polaris.service.config.watching import Watch
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate import config as native_translate
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import ANYBODY, DRAFT, FileKey, GrayRule
from polaris_bridge.core.config.watching import Has, Listening
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.configcentre import equip
from polaris_bridge.storage.memory import MemoryStore

NACOS = Caller("nacos", "10.0.0.1", "ann")
NATIVE = Caller("polaris", "10.0.0.2", "bob")
KEY = FileKey("default", "g", "app.yaml")
OK, NOT_FOUND = 200000, 400202


class Clock:
    def monotonic(self) -> float:
        return 1000.0

    def wall_ms(self) -> int:
        return 1_700_000_000_000


class Queue:
    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> Queue:
        return self

    def cancel(self) -> None:
        """Timers never come due here."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class World:
    """Clients of both protocols, at one registry."""

    def __init__(self, validate: bool = False, most: int = 20_000) -> None:
        self.queue = Queue()
        store = MemoryStore(post=lambda run: run(), unique=lambda: "n")
        self.registry = Registry(store, Clock(), self.queue, Terms())
        self.registry.load()
        equip(self.registry.config, None, True)
        self.configs = Configs(self.registry, Spaces(NacosSettings()), NacosSettings(validate_format=validate))
        self.clients = ConfigClients(self.registry, PolarisSettings(validate_format=validate, content_max=most))

    # ------------------------------------------------------------------ Nacos

    def nacos_publish(self, content: bytes, key: FileKey = KEY, **said: object) -> None:
        self.configs.publish(key, Publication(content=content, **said), NACOS)  # type: ignore[arg-type]
        self.queue.settle()

    def nacos_read(self, ip: str = "10.0.0.1", tag: str = "") -> Content | None:
        return self.configs.query(KEY, nacos_translate.asker_of(ip, tag))

    def nacos_content(self, ip: str = "10.0.0.1", tag: str = "") -> bytes | None:
        found = self.nacos_read(ip, tag)
        return None if found is None else found.content

    # ------------------------------------------------------------------ native

    def native_publish(self, content: str, **more: object) -> int:
        m = v1.ConfigFilePublishInfo(content={"value": content}, **more)  # type: ignore[arg-type]
        m.namespace.value, m.group.value, m.file_name.value = KEY
        written = self.clients.writing.upsert_and_publish(m, NATIVE, compare=False)
        self.queue.settle()
        return written.code

    def native_release(self, **more: object) -> int:
        m = v1.ConfigFileRelease(**more)  # type: ignore[arg-type]
        m.namespace.value, m.group.value, m.file_name.value = KEY
        written = self.clients.writing.publish(m, NATIVE)
        self.queue.settle()
        return written.code

    def native_draft(self, content: str, create: bool = False) -> int:
        m = v1.ConfigFile(content={"value": content})
        m.namespace.value, m.group.value, m.name.value = KEY
        writing = self.clients.writing
        written = (writing.create if create else writing.update)(m, NATIVE)
        self.queue.settle()
        return written.code

    def native_read(self, ip: str = "10.0.0.2", **labels: str) -> v1.ConfigClientResponse:
        m = self._info(labels)
        return v1.ConfigClientResponse.FromString(self.clients.reading.get(m, Caller("polaris", ip)))

    def native_content(self, ip: str = "10.0.0.2", **labels: str) -> str | None:
        found = self.native_read(ip, **labels)
        return found.configFile.content.value if found.code.value == OK else None

    def native_watch(self, version: int, ip: str = "10.0.0.2") -> list[v1.ConfigClientResponse]:
        """Where the answer will be."""
        info = self._info({})
        info.version.value = version
        told: list[v1.ConfigClientResponse] = []
        found = self.clients.watching.watch(v1.ClientWatchConfigFileRequest(watch_files=[info]), Caller("polaris", ip))

        def tell(answer: bytes) -> None:
            told.append(v1.ConfigClientResponse.FromString(answer))

        if isinstance(found, Watch):
            found.then(tell)
        else:
            tell(found)
        return told

    def nacos_watch(self, md5: str) -> list[list[FileKey]]:
        told: list[list[FileKey]] = []
        found = self.registry.config.listen({KEY: Has(md5=md5)}, told.append, nacos_translate.asker_of("10.0.0.1"))
        if not isinstance(found, Listening):
            told.append(found)
        return told

    def _info(self, labels: dict[str, str]) -> v1.ClientConfigFileInfo:
        m = v1.ClientConfigFileInfo()
        m.namespace.value, m.group.value, m.file_name.value = KEY
        for key, value in labels.items():
            m.tags.add(key={"value": key}, value={"value": value})
        return m


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_gray_releases_of_nacos_and_native_ones_do_not_take_each_others_place() -> None:
    assert native_translate.GRAY_SLOT not in (nacos_translate.BETA_SLOT, "")
    assert not native_translate.GRAY_SLOT.startswith(nacos_translate.TAG_SLOT)
    assert native_translate.GRAY_PRIORITY < nacos_translate.TAG_PRIORITY < nacos_translate.BETA_PRIORITY


@pytest.mark.parametrize("content", [b"a: 1\n", "ä\r\n\t\u2028 ".encode(), b"x" * 100_000])
def test_what_nacos_publishes_is_read_natively_byte_by_byte(content: bytes) -> None:
    world = World()
    world.nacos_publish(content, type="yaml")
    found = world.native_read()
    assert found.code.value == OK
    assert found.configFile.content.value.encode() == content
    assert found.configFile.md5.value == md5(content) == world.nacos_read().md5  # type: ignore[union-attr]
    assert found.configFile.version.value == 1


def test_what_is_published_natively_is_read_by_nacos() -> None:
    world = World()
    assert world.native_publish("a: ö", format={"value": "yaml"}) == OK
    found = world.nacos_read()
    assert found is not None
    assert (found.content, found.md5, found.type) == ("a: ö".encode(), md5("a: ö".encode()), "yaml")


def test_one_counter_of_versions_over_both() -> None:
    world = World()
    world.nacos_publish(b"1")
    world.native_publish("2")
    world.nacos_publish(b"3")
    assert world.native_read().configFile.version.value == 3
    world.configs.remove(KEY, "", NACOS)
    world.queue.settle()
    world.native_publish("4")
    assert world.native_read().configFile.version.value == 5


def test_who_waits_through_one_is_told_of_what_the_other_publishes_and_deletes() -> None:
    world = World()
    native, nacos = world.native_watch(0), world.nacos_watch("")
    world.nacos_publish(b"1")
    assert nacos == [[KEY]]
    (answer,) = native
    assert (answer.code.value, answer.configFile.version.value, answer.configFile.md5.value) == (OK, 1, md5(b"1"))
    native, nacos = world.native_watch(1), world.nacos_watch(md5(b"1"))
    assert not native
    assert not nacos
    world.native_publish("2")
    assert nacos == [[KEY]]
    assert native[0].configFile.version.value == 2
    native, nacos = world.native_watch(2), world.nacos_watch(md5(b"2"))
    world.registry.config.files.delete(KEY, NATIVE)
    world.queue.settle()
    assert nacos == [[KEY]]
    assert len(native) == 1
    assert world.native_read().code.value == 400202
    assert world.nacos_read() is None


def test_the_same_content_again_wakes_nobody_who_compares_contents() -> None:
    world = World()
    world.nacos_publish(b"1")
    nacos = world.nacos_watch(md5(b"1"))
    world.native_publish("1")
    assert nacos == []


def test_an_old_version_or_md5_is_answered_at_once() -> None:
    world = World()
    world.nacos_publish(b"1")
    world.native_publish("2")
    assert world.nacos_watch(md5(b"1")) == [[KEY]]
    assert len(world.native_watch(1)) == 1
    assert world.native_watch(2) == []


def test_a_native_draft_is_seen_by_nobody_and_kept_when_nacos_publishes_over_it() -> None:
    world = World()
    assert world.native_draft("draft", create=True) == OK
    assert world.nacos_read() is None
    world.nacos_publish(b"published")
    assert world.native_content() == "published"
    entries = world.registry.config.history.of(KEY).entries
    kept = [world.registry.config.history.content(e) for e in entries if e.operation == DRAFT]
    assert kept == [b"draft"]


def test_a_beta_of_nacos_is_a_gray_release_natively_and_the_other_way_round() -> None:
    world = World()
    world.nacos_publish(b"all")
    world.nacos_publish(b"beta", beta_ips="10.0.0.7,10.0.0.8")
    assert (world.nacos_content("10.0.0.7"), world.nacos_content("10.0.0.9")) == (b"beta", b"all")
    assert (world.native_content("10.0.0.8"), world.native_content("10.0.0.9")) == ("beta", "all")
    assert world.native_content("10.9.9.9", CLIENT_IP="10.0.0.7") == "beta"
    assert world.native_release() == 409000, "one gray release at a time, natively"
    world.configs.stop_beta(KEY, NACOS)
    world.queue.settle()
    world.native_draft("by address")
    label = {"key": "CLIENT_IP", "value": {"type": v1.MatchString.IN, "value": {"value": "10.0.0.7,10.0.0.9"}}}
    assert world.native_release(release_type={"value": "gray"}, beta_labels=[label]) == OK
    assert (world.nacos_content("10.0.0.7"), world.nacos_content("10.0.0.8")) == (b"by address", b"all")
    grays = world.registry.config.reading.snapshot(KEY).grays
    assert [seen.active.rule for seen in grays] == [GrayRule(ips=("10.0.0.7", "10.0.0.9"))]
    shown = world.configs.beta(KEY)
    assert shown is not None, "Nacos' console shows it as a beta"
    assert shown.content == b"by address"
    assert world.configs.stop_beta(KEY, NACOS) is not None, "and may end it"
    world.queue.settle()
    assert (world.nacos_content("10.0.0.7"), world.native_content("10.0.0.7")) == (b"all", "all")


def test_a_rule_that_nacos_cannot_express_is_not_flattened() -> None:
    world = World()
    world.nacos_publish(b"all")
    world.native_draft("few")
    label = {"key": "zone", "value": {"type": v1.MatchString.REGEX, "value": {"value": "^eu-"}}}
    assert world.native_release(release_type={"value": "gray"}, beta_labels=[label]) == OK
    assert (world.native_content(zone="eu-1"), world.native_content(zone="us-1")) == ("few", "all")
    assert world.nacos_content() == b"all"
    assert (world.configs.beta(KEY), world.configs.stop_beta(KEY, NACOS)) == (None, None)
    waiting = world.nacos_watch(md5(b"all"))
    world.native_draft("few again")
    assert waiting == []


def test_a_tag_of_nacos_is_a_label_natively() -> None:
    world = World()
    world.nacos_publish(b"all")
    world.nacos_publish(b"tagged", tag="blue")
    assert (world.nacos_content(tag="blue"), world.nacos_content(tag="red"), world.nacos_content()) == (
        b"tagged", b"all", b"all",
    )  # fmt: skip
    assert world.native_content(**{"Vipserver-Tag": "blue"}) == "tagged"
    assert world.native_content(**{"Vipserver-Tag": "red"}) == "all"


def test_what_is_encrypted_natively_is_sealed_for_nacos_and_opened_by_the_sdk() -> None:
    world = World()
    assert world.native_publish("password", encrypted={"value": True}, encrypt_algo={"value": "AES"}) == OK
    sealed = world.nacos_content()
    assert sealed is not None
    assert b"password" not in sealed
    found = world.native_read().configFile
    assert found.content.value.encode() == sealed
    assert found.md5.value == md5(sealed) == world.nacos_read().md5  # type: ignore[union-attr]
    tags = {tag.key.value: tag.value.value for tag in found.tags}
    key = base64.b64decode(tags["internal-datakey"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
    plain = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    assert plain[: -plain[-1]] == b"password"


def test_what_clients_of_nacos_encrypted_stays_as_it_is() -> None:
    world = World()
    world.nacos_publish(b"\x20ciphertext=", encrypted_data_key="key")
    world.nacos_publish(b"again", encrypted_data_key="other key")
    found = world.nacos_read()
    assert found is not None
    assert (found.content, found.encrypted_data_key) == (b"again", "other key")
    assert world.native_content() == "again"
    world.native_draft("again")
    assert world.native_release() == OK
    found = world.nacos_read()
    assert found is not None
    assert (found.content, found.encrypted_data_key) == (b"again", "other key")
    world.native_draft("in the clear")
    assert world.native_release() == OK
    found = world.nacos_read()
    assert found is not None
    assert (found.content, found.encrypted_data_key) == (b"in the clear", ""), "the key does not open this"


def test_limits_are_judged_where_something_is_written_never_where_it_is_read() -> None:
    world = World(most=10)
    assert world.native_publish("0123456789") == OK
    assert world.native_publish("0123456789a") != OK
    world.nacos_publish(b"0123456789a" * 10)
    assert world.native_content() == "0123456789a" * 10


@pytest.mark.parametrize("validate", [True, False])
def test_both_refuse_what_is_broken_only_where_that_is_asked_for(validate: bool) -> None:
    world = World(validate)
    code = world.native_publish("a: [1\nb: 2", format={"value": "yaml"})
    assert (code == OK) is not validate
    if validate:
        with pytest.raises(Refused, match="line 2, column 2"):
            world.nacos_publish(b"a: [1\nb: 2", type="yaml")
        assert world.nacos_read() is None
    else:
        world.nacos_publish(b"a: [1\nb: 3", type="yaml")


def test_what_one_compares_and_sets_sees_what_the_other_wrote() -> None:
    world = World()
    world.nacos_publish(b"1")
    world.native_publish("2")
    with pytest.raises(Refused):
        world.nacos_publish(b"3", cas_md5=md5(b"1"))
    world.nacos_publish(b"3", cas_md5=md5(b"2"))
    assert world.native_content() == "3"


def test_tags_with_values_survive_a_publication_of_nacos() -> None:
    world = World()
    world.native_publish("1", tags=[{"key": {"value": "team"}, "value": {"value": "a"}}])
    world.nacos_publish(b"2")
    world.nacos_publish(b"3", tags=("x",))
    file = world.registry.config.reading.snapshot(KEY).file
    assert file is not None
    assert file.draft.tags == {"team": "a", "x": ""}


def test_the_history_knows_who_did_what_through_which_protocol() -> None:
    world = World()
    world.nacos_publish(b"1")
    world.native_publish("2")
    entries = world.registry.config.history.of(KEY).entries
    assert [(e.stamp.via, e.stamp.by, e.stamp.address, e.version) for e in entries] == [
        ("polaris", "bob", "10.0.0.2", 2),
        ("nacos", "ann", "10.0.0.1", 1),
    ]


def test_empty_absent_and_public_are_one_namespace() -> None:
    world = World()
    assert world.configs.key("d", "g", "") == world.configs.key("d", "g", "public") == FileKey("default", "g", "d")
    assert world.configs.key("d", "g", "dev").namespace == "dev"


def test_who_holds_what_is_one_question() -> None:
    world = World()
    world.nacos_publish(b"1")
    holders = world.registry.config.holders
    holders.report("c1", [(KEY, md5(b"1"))], via="nacos", asker=ANYBODY)
    world.native_watch(1)
    world.native_publish("2")
    assert {(h.via, h.late) for h in holders.of(KEY)} == {("nacos", True), ("polaris", True)}
