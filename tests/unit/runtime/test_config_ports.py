"""What the wiring gives the configuration centre: parsers, regular expressions, ciphers and the server's key."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.patterns import LONGEST
from polaris_bridge.core.config.model import Change, FileKey
from polaris_bridge.core.config.ports import Defect
from polaris_bridge.core.errors import Invalid
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.runtime.config import load
from polaris_bridge.runtime.configcentre.formats import DEEPEST, LARGEST, Parsers
from polaris_bridge.runtime.configcentre.patterns import LinearPatterns
from polaris_bridge.runtime.configcentre.sealing import AES, AesSealing
from polaris_bridge.runtime.configcentre.serverkey import ServerKeys
from polaris_bridge.runtime.server import Server
from polaris_bridge.testing import server

KEY = FileKey("default", "g", "secret.yaml")

# ---------------------------------------------------------------------- formats

WELL: list[tuple[str, bytes]] = [
    ("json", b'{"a": [1, "\xc3\xa4", null]}'),
    ("yaml", b"a: &x 1\nb: *x\n---\nc: [1, 2]\n"),
    ("yaml", b""),
    ("yaml", b"!custom {a: 1}"),
    ("xml", b"<?xml version='1.0' encoding='iso-8859-1'?><a b='c'>\xe4</a>"),
    ("xml", b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
    ("properties", b"a=1\n# \\u is fine here\nb=\\u00e4\\\\u\nc: d\\\n  e\n"),
    ("toml", b"a = 1\n[b]\nc = [1, 2]\n"),
    ("html", b"<p>never <b>closed"),
    ("text", "äöü".encode()),
    ("unheard-of", b"\xff\xfe"),
]
BROKEN: list[tuple[str, bytes, int, int]] = [
    ("json", b'{"a": 1,\n "b" 2}', 2, 6),
    ("json", b"", 1, 1),
    ("json", b"[" * 5000, 1, 1026),
    ("yaml", b"a: [1\nb: 2", 2, 2),
    ("yaml", b"a: 1\nb: *nowhere\n", 2, 4),
    ("yaml", b"a: &x 1\n---\nb: *x\n", 3, 4),
    ("yaml", b"a: 1\n\xc3\xa4: \xff", 2, 4),
    ("yaml", b"a: 1\x01", 1, 5),
    ("xml", b"<a>\n<b></a>", 2, 6),
    ("xml", b"", 1, 1),
    ("xml", b"<?xml version='1.0' encoding='unheard-of'?><a/>", 1, 1),
    ("xml", b"<?xml version='1.0' encoding='gbk'?><a/>", 1, 1),
    ("properties", b"a=1\nb=\\u12\n", 2, 3),
    ("properties", b"# comment\\\nb=\\uzzzz", 2, 3),
    ("properties", b"a=b\\\n#\\u", 2, 2),
    ("toml", b"a = 1\nb = \n", 2, 5),
    ("toml", b"a = 1\na = 2", 2, 6),
    ("toml", b"a = " + b"[" * 100_000, 0, 0),
    ("html", b"<p>\n\xff", 2, 1),
]


@pytest.mark.parametrize(("format", "content"), WELL)
def test_what_is_well_has_no_defect(format: str, content: bytes) -> None:
    assert Parsers().defect(format, content) is None


@pytest.mark.parametrize(("format", "content", "line", "column"), BROKEN)
def test_what_is_broken_is_named_with_its_place(format: str, content: bytes, line: int, column: int) -> None:
    found = Parsers().defect(format, content)
    assert found is not None
    assert (found.line, found.column) == (line, column)
    assert found.text


@pytest.mark.parametrize("format", ["yaml", "toml"])
def test_what_takes_long_to_read_has_a_bound(format: str) -> None:
    most = LARGEST[format]
    assert Parsers().defect(format, b"#" * most) is None
    assert Parsers().defect(format, b"#" * (most + 1)) == Defect(0, 0, f"above {most} bytes it cannot be checked")


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("yaml", b"[" * 50_000), ("yaml", b"{a: " * 30_000), ("yaml", b"- " * 50_000), ("toml", b"a." * 20_000 + b"b=1"),
        ("toml", b'"a" . ' * 20_000 + b"b=1"), ("toml", b"[" + b"a." * 20_000 + b"b]"), ("toml", b"a=" + b"1" * 100_000),
    ],
)  # fmt: skip
def test_what_is_nested_deeply_is_a_defect_soon(format: str, content: bytes) -> None:
    began = time.process_time()
    assert Parsers().defect(format, content) is not None
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("yaml", b"[" * DEEPEST + b"]" * DEEPEST), ("toml", b"a." * (DEEPEST - 1) + b"b=1"),
        ("toml", b'a="' + b"1.2." * 200 + b'"'), ("yaml", b"- []\n" * (2 * DEEPEST)),
    ],
)  # fmt: skip
def test_what_people_nest_has_no_defect(format: str, content: bytes) -> None:
    assert Parsers().defect(format, content) is None


def test_entities_that_would_fill_the_memory_are_a_defect_soon() -> None:
    entities = "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10 if i else 'x' * 100}'>" for i in range(12))
    began = time.process_time()
    assert Parsers().defect("xml", f"<!DOCTYPE a [{entities}]><a>&e11;</a>".encode()) is not None
    assert time.process_time() - began < 1


@given(st.sampled_from(["json", "yaml", "xml", "properties", "toml", "html", "text"]), st.binary(max_size=60))
def test_no_content_is_too_much(format: str, content: bytes) -> None:
    found = Parsers().defect(format, content)
    assert found is None or (found.line >= 0 and found.column >= 0 and found.text)


# ---------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("v1\\..*", "v1.2", True), ("1", "v1.2", False), (".*(?:^v1).*", "v1.2", True), ("(?i)BETA", "beta", True),
        ("a|b", "b", True), ("(?s:.*)(?:2$)(?s:.*)", "v1\n2", True), ("a|b", "ab", False),
    ],
)  # fmt: skip
def test_patterns_match_all_of_a_value(pattern: str, value: str, matches: bool) -> None:
    assert LinearPatterns().defect(pattern) is None
    assert LinearPatterns().matches(pattern, value) is matches


@pytest.mark.parametrize(
    "pattern", ["(", "a{2,1}", "(?=a)", "(a)\\1", "a" * (LONGEST + 1), "((a{1000}){1000}){1000}", "\ud800"]
)
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    assert LinearPatterns().defect(pattern)
    assert not LinearPatterns().matches("(", "(")


def test_an_unkind_pattern_does_not_hold_anybody_up() -> None:
    began = time.process_time()
    assert not LinearPatterns().matches("^(a*)*(a|a)*b$", "a" * 50_000)
    assert time.process_time() - began < 1
    assert not LinearPatterns().matches("a", "\ud800")


# ---------------------------------------------------------------------- sealing


def sealing(path: Path | None = None) -> AesSealing:
    return AesSealing(ServerKeys(path))


@settings(deadline=None)  # the first one imports the ciphers
@given(st.binary(max_size=200))
def test_sealed_content_opens_again_and_is_what_sdks_decrypt(content: bytes) -> None:
    cipher = sealing()
    sealed = cipher.seal(AES, content, b"")
    assert cipher.open(AES, sealed.content, sealed.data_key) == content
    assert cipher.seal(AES, content, sealed.data_key) == sealed, "equal content under an equal key is equal"
    key = cipher.key(sealed.data_key)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
    plain = decryptor.update(base64.b64decode(sealed.content)) + decryptor.finalize()
    assert plain[: -plain[-1]] == content
    assert len(key) == 16
    assert key not in sealed.data_key


def test_every_file_has_a_key_of_its_own() -> None:
    cipher = sealing()
    assert cipher.seal(AES, b"x", b"").content != cipher.seal(AES, b"x", b"").content


def test_a_client_gets_the_key_in_its_own_envelope() -> None:
    cipher = sealing()
    data_key = cipher.seal(AES, b"x", b"").data_key
    private = rsa.generate_private_key(65537, 1024)
    for form in (PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo):
        public = private.public_key().public_bytes(Encoding.DER, form)
        assert private.decrypt(cipher.wrapped(data_key, public), padding.PKCS1v15()) == cipher.key(data_key)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    for bad in (b"", b"no key", other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(Invalid):
            cipher.wrapped(data_key, bad)


def test_what_was_changed_does_not_open() -> None:
    cipher = sealing()
    sealed = cipher.seal(AES, b"x" * 40, b"")
    for at in range(len(sealed.data_key)):
        changed = bytearray(sealed.data_key)
        changed[at] ^= 1
        with pytest.raises(Invalid):
            cipher.key(bytes(changed))
    for data_key in (b"", sealed.data_key[:-1], sealed.data_key[:9], b"\x02" + sealed.data_key[1:]):
        with pytest.raises(Invalid):
            cipher.key(data_key)
    for content in (b"", b"!", sealed.content[:-4], base64.b64encode(b"0" * 16), b"\xff"):
        with pytest.raises(Invalid):
            cipher.open(AES, content, sealed.data_key)
    for algorithm in ("", "DES"):
        with pytest.raises(Invalid):
            cipher.seal(algorithm, b"x", b"")
        with pytest.raises(Invalid):
            cipher.open(algorithm, sealed.content, sealed.data_key)


def test_an_algorithm_that_is_not_offered_still_opens() -> None:
    keys = ServerKeys(None)
    sealed = AesSealing(keys).seal(AES, b"x", b"")
    without = AesSealing(keys, offered=False)
    assert without.algorithms == ()
    assert without.open(AES, sealed.content, sealed.data_key) == b"x"
    assert without.open(AES, without.seal(AES, b"y", sealed.data_key).content, sealed.data_key) == b"y"
    with pytest.raises(Invalid):
        without.seal(AES, b"x", b"")


# ---------------------------------------------------------------------- the server's key


def test_the_key_is_made_on_first_use_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "data" / "config.key"
    cipher = sealing(path)
    with pytest.raises(Invalid):
        cipher.key(b"\x01" + b"0" * 60)
    assert not path.exists(), "reading makes nothing"
    sealed = cipher.seal(AES, b"x", b"")
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["config.key"]
    made = path.read_bytes()
    assert sealing(path).open(AES, sealed.content, sealed.data_key) == b"x"
    sealing(path).seal(AES, b"y", b"")
    assert path.read_bytes() == made


def test_a_new_first_line_is_a_new_key_and_the_old_one_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "config.key"
    old = sealing(path).seal(AES, b"x", b"")
    text = path.read_text()
    path.write_text(base64.b64encode(b"n" * 32).decode() + "\n" + text)
    both = sealing(path)
    assert both.open(AES, old.content, old.data_key) == b"x"
    new = both.seal(AES, b"y", b"")
    path.write_text(text)
    with pytest.raises(Invalid, match="server key"):
        sealing(path).open(AES, new.content, new.data_key)


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"short").decode(), "\udc80"])
def test_a_file_of_keys_that_is_none_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.key"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(Invalid, match=r"config\.key"):
        sealing(path).seal(AES, b"x", b"")
    assert path.read_bytes() == before


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    first, second = sealing(tmp_path / "config.key"), sealing(tmp_path / "config.key")
    second.keys._read()
    sealed = first.seal(AES, b"x", b"")
    second.seal(AES, b"y", b"")
    assert second.open(AES, sealed.content, sealed.data_key) == b"x"


def test_others_that_can_read_it_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "config.key"
    sealing(path).seal(AES, b"x", b"")
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        sealing(path).seal(AES, b"x", b"")
    assert "chmod 600" in caplog.text


# ---------------------------------------------------------------------- in a server


async def write(running: Server, content: bytes, key: FileKey = KEY) -> None:
    done = running.registry.config.releases.publish(key, SYSTEM, change=Change(content, algorithm=AES))
    outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    done.commit.then(outcome.set_result)
    assert await asyncio.wait_for(outcome, 8) is None


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("polaris-bridge.db"))


async def test_a_server_seals_in_its_store_and_opens_after_a_restart(tmp_path: Path) -> None:
    async with server(data=tmp_path) as running:
        await write(running.server, b"pass: secret")
        assert not any("cannot be read" in notice for notice in running.server.notices)
    stored = contents(tmp_path)
    assert b"secret.yaml" in stored
    assert b"pass: secret" not in stored
    async with server(data=tmp_path) as running:
        config = running.server.registry.config
        seen = config.reading.resolve(KEY)
        assert seen is not None
        assert config.reading.plain(seen.release.text) == b"pass: secret"
        assert running.server.notices == []


@pytest.mark.parametrize("other", [None, base64.b64encode(b"another key of thirty-two bytes!").decode()])
async def test_without_its_key_a_server_starts_says_so_once_and_destroys_nothing(
    tmp_path: Path, other: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(data=tmp_path) as running:
        await write(running.server, b"pass: secret")
    path = tmp_path / "config.key"
    kept = path.read_text()
    path.unlink()
    if other is not None:
        path.write_text(other)
        path.chmod(0o600)
    caplog.clear()
    async with server(data=tmp_path) as running:
        told = [record for record in caplog.records if "cannot be read" in record.getMessage()]
        assert len(told) == 1
        assert str(path) in told[0].getMessage()
        assert running.server.notices == [told[0].getMessage()]
        config = running.server.registry.config
        seen = config.reading.resolve(KEY)
        assert seen is not None
        with pytest.raises(Invalid):
            config.reading.plain(seen.release.text)
        with pytest.raises(Invalid):
            config.releases.publish(KEY, SYSTEM, change=Change(b"overwritten"))
        if other is None:
            with pytest.raises(Invalid):
                await write(running.server, b"new", FileKey("default", "g", "new"))
            assert not path.exists()
    path.write_text(kept)
    path.chmod(0o600)
    async with server(data=tmp_path) as running:
        config = running.server.registry.config
        seen = config.reading.resolve(KEY)
        assert seen is not None
        assert (config.reading.plain(seen.release.text), seen.version) == (b"pass: secret", 1)


async def test_without_a_store_the_key_is_kept_nowhere(tmp_path: Path) -> None:
    async with server(data=tmp_path, sets=["store={name: memoryStore}"]) as running:
        await write(running.server, b"secret")
    assert not (tmp_path / "config.key").exists()


async def test_the_place_of_the_key_can_be_chosen(tmp_path: Path) -> None:
    sets = ["plugin.crypto={entries: [{name: AES, option: {serverKeyFile: keys/mine}}]}"]
    async with server(data=tmp_path, sets=sets) as running:
        await write(running.server, b"secret")
    assert (tmp_path / "keys" / "mine").exists()
    loaded = load(None, sets=["plugin.crypto={entries: []}", "store={name: memoryStore}"], data_dir=tmp_path)
    assert Server(loaded.config, data=tmp_path).registry.config.sealing.algorithms == ()


def test_a_server_without_configuration_files_imports_nothing_for_them() -> None:
    program = """
import asyncio, sys, tempfile
from polaris_bridge.testing import server
async def main():
    async with server():
        own = "polaris_bridge.runtime.configcentre."
        found = {"re2", "tomllib"} & set(sys.modules) | {name for name in sys.modules if name.startswith(own)}
        assert not found, found
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
