"""GetConfigFile: codes, what is echoed, gray releases by labels, encrypted files, and what is kept encoded."""

from __future__ import annotations

import base64
import hashlib

import pytest
from bottle import CALLER
from config_native import KEY, ConfigWorld, code, label, question, said, tags
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from polaris_bridge.adapters.polaris.service.config import reading
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import Change, FileKey
from polaris_bridge.core.model import Caller


@pytest.fixture
def world() -> ConfigWorld:
    return ConfigWorld()


@pytest.mark.parametrize(
    ("at", "info"), [(0, "namespace is empty"), (1, "file group is empty"), (2, "filename is empty")]
)
def test_what_is_not_named(world: ConfigWorld, at: int, info: str) -> None:
    key = FileKey(*("" if place == at else name for place, name in enumerate(KEY)))
    answer = world.get(key)
    assert said(answer) == (400000, info)
    assert not answer.HasField("configFile")


def test_a_file_that_is_not_released_is_not_found_and_the_question_comes_back(world: ConfigWorld) -> None:
    world.create()
    answer = world.get(version=3)
    assert said(answer) == (400202, "not found resource")
    asked = question(version=3)
    asked.tags.add(key={"value": "CLIENT_IP"}, value={"value": CALLER.address})
    assert answer.configFile == asked


def test_labels_of_the_question_come_back_as_they_were(world: ConfigWorld) -> None:
    answer = world.get(tags={"env": "beta"})
    assert tags(answer.configFile) == {"env": "beta"}


def test_content_version_md5_and_tags(world: ConfigWorld) -> None:
    world.seed("a: 1\n", tags={"k": "v", "l": "w"})
    answer = world.get()
    assert said(answer) == (200000, "execute success")
    info = answer.configFile
    assert (info.content.value, info.version.value) == ("a: 1\n", 1)
    assert info.md5.value == hashlib.md5(b"a: 1\n").hexdigest()
    assert info.encrypted == v1.BoolValue(value=False)
    assert info.HasField("encrypted")
    assert tags(info) == {"k": "v", "l": "w"}
    assert not info.HasField("name")
    assert not info.HasField("release_time")


@pytest.mark.parametrize(("version", "expected"), [(0, 200000), (1, 200000), (2, 200000), (3, 200001)])
def test_only_a_later_version_than_the_servers_is_told_that_nothing_changed(world, version: int, expected: int) -> None:
    world.seed()
    world.update("a: 2")
    world.publish()
    answer = world.get(version=version)
    assert code(answer) == expected
    assert answer.configFile.content.value == ("a: 2" if expected == 200000 else "")
    assert answer.configFile.version.value == (2 if expected == 200000 else version)


def test_a_draft_is_not_shown_before_it_is_released(world: ConfigWorld) -> None:
    world.seed("old")
    world.update("new")
    assert world.get().configFile.content.value == "old"
    world.publish()
    assert world.get().configFile.content.value == "new"


def test_a_deleted_file_is_not_found(world: ConfigWorld) -> None:
    world.seed()
    world.get()
    world.centre.files.delete(KEY, CALLER)
    world.queue.settle()
    assert code(world.get()) == 400202


def test_what_another_protocol_wrote_is_read_whatever_its_size_and_bytes(world: ConfigWorld) -> None:
    world.centre.releases.publish(KEY, CALLER, change=Change(content=b"\xff" + b"x" * 30_000))
    world.queue.settle()
    content = world.get().configFile.content.value
    assert content == "�" + "x" * 30_000


# ---------------------------------------------------------------------- gray releases


def gray(world: ConfigWorld, *labels: v1.ClientLabel) -> None:
    world.seed("full")
    world.update("gray")
    assert code(world.publish(release_type="gray", beta_labels=labels)) == 200000


def test_a_gray_release_is_for_those_with_all_of_its_labels(world: ConfigWorld) -> None:
    gray(world, label("env", "beta"), label("zone", "a,b", v1.MatchString.IN))
    seen = {
        name: (answer.configFile.content.value, answer.configFile.version.value)
        for name, answer in {
            "both": world.get(tags={"env": "beta", "zone": "b"}),
            "one": world.get(tags={"env": "beta"}),
            "none": world.get(),
        }.items()
    }
    assert seen == {"both": ("gray", 2), "one": ("full", 1), "none": ("full", 1)}


def test_an_address_said_counts_before_the_one_that_a_client_comes_from(world: ConfigWorld) -> None:
    gray(world, label("CLIENT_IP", "10.0.0.7"))
    caller = Caller("polaris", "10.0.0.7")
    assert world.get(caller=caller).configFile.content.value == "gray"
    assert world.get(caller=caller, tags={"CLIENT_IP": "10.0.0.8"}).configFile.content.value == "full"
    assert world.get(tags={"CLIENT_IP": "10.0.0.7"}).configFile.content.value == "gray"


def test_a_client_with_the_version_of_the_gray_release_is_told_that_nothing_changed_of_the_full_one(world) -> None:
    gray(world, label("env", "beta"))
    assert code(world.get(version=2)) == 200001
    assert code(world.get(version=2, tags={"env": "beta"})) == 200000


# ---------------------------------------------------------------------- encrypted files


def decrypted(info: v1.ClientConfigFileInfo, key: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
    padded = cipher.update(base64.b64decode(info.content.value)) + cipher.finalize()
    return padded[: -padded[-1]]


def test_an_encrypted_file_with_its_key(world: ConfigWorld) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES", tags={"k": "v"})
    info = world.get().configFile
    found = tags(info)
    key = base64.b64decode(found.pop("internal-datakey"))
    assert found == {"k": "v", "internal-encrypted": "true", "internal-encryptalgo": "AES"}
    assert info.encrypted.value
    assert len(key) == 16
    assert decrypted(info, key) == b"secret"
    assert info.md5.value == hashlib.md5(info.content.value.encode()).hexdigest()


def test_a_client_with_a_public_key_gets_the_key_for_itself_alone(world: ConfigWorld) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES")
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    info = world.get(public_key=base64.b64encode(der).decode()).configFile
    key = private.decrypt(base64.b64decode(tags(info)["internal-datakey"]), padding.PKCS1v15())
    assert decrypted(info, key) == b"secret"


@pytest.mark.parametrize("public_key", ["", "no base64", base64.b64encode(b"no key").decode()])
def test_a_public_key_that_is_none_counts_as_none(world: ConfigWorld, public_key: str) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES")
    info = world.get(public_key=public_key).configFile
    assert decrypted(info, base64.b64decode(tags(info)["internal-datakey"])) == b"secret"


def test_a_file_of_another_servers_key_is_refused_with_a_reason(world: ConfigWorld) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES")
    world.restart()  # its key was in memory
    answer = world.get()
    assert code(answer) == 500000
    assert not answer.HasField("configFile")
    assert "key" in answer.info.value


# ---------------------------------------------------------------------- what is kept


def test_equal_questions_get_the_same_bytes_until_the_next_release(world: ConfigWorld) -> None:
    world.seed()
    get = world.clients.reading.get
    first = get(question(), CALLER)
    assert get(question(), CALLER) is first
    world.update("a: 2")
    assert get(question(), CALLER) is first
    world.publish()
    assert get(question(), CALLER) is not first
    assert world.clients.reading.kept == 1


def test_answers_are_kept_up_to_a_number_and_a_size(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEPT", 3)
    keys = [FileKey("default", "g", f"f{n}") for n in range(5)]
    for key in keys:
        world.seed("x" * 100, key)
        world.get(key)
    assert world.clients.reading.kept == 3
    monkeypatch.setattr(reading, "KEPT_BYTES", 300)
    assert world.get(keys[0]).configFile.content.value == "x" * 100
    assert world.clients.reading.kept == 1


def test_json_says_what_the_message_says(world: ConfigWorld) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES")
    other = FileKey("default", "g", "b")
    world.seed("plain", other)
    for key, expected in ((KEY, 200000), (other, 200000), (FileKey("default", "g", "c"), 400202)):
        for _ in range(2):
            encoded = world.clients.reading.get_json(question(key), CALLER)
            message = world.get(key)
            assert encoded.code == expected == code(message)
            assert f'"{message.configFile.content.value}"'.encode() in b"".join([encoded.body]) or expected != 200000
