"""Access tokens as Nacos makes them."""

from __future__ import annotations

import base64
import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire.tokens import EXPIRED, INVALID, UNSUPPORTED, BadToken, Claims, Signer, key_of

KEY = bytes(range(32))
SIGNER = Signer(KEY)


def _part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _signed(header: object, payload: object, key: bytes = KEY, digest: str = "sha256") -> str:
    head = f"{_part(header)}.{_part(payload)}"
    return f"{head}.{_part(hmac.digest(key, head.encode(), digest))}"


def test_as_recorded() -> None:
    """Header and payload are those of a token that Nacos 2.5.1 gave."""
    made = SIGNER.sign("nacos", 1795376613)
    assert made.startswith("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJuYWNvcyIsImV4cCI6MTc5NTM3NjYxM30.")
    assert made == _signed({"alg": "HS256"}, {"sub": "nacos", "exp": 1795376613})


@given(st.text(min_size=1, max_size=80), st.integers(0, 1 << 40))
def test_read_back(name: str, expires_s: int) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        name = "x"
    assert SIGNER.read(SIGNER.sign(name, expires_s)) == Claims(name, expires_s)


@pytest.mark.parametrize(
    ("size", "algorithm"), [(32, "HS256"), (47, "HS256"), (48, "HS384"), (64, "HS512"), (80, "HS512")]
)
def test_longer_keys_take_longer_hashes(size: int, algorithm: str) -> None:
    signer = Signer(b"k" * size)
    made = signer.sign("u", 1)
    assert jwt.get_unverified_header(made) == {"alg": algorithm}
    assert signer.read(made) == Claims("u", 1)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", INVALID),
        ("a.b", INVALID),
        ("a.b.c.d", INVALID),
        ("x" * 5000, INVALID),
        ("a.b.c", UNSUPPORTED),
        (_signed({"alg": "none"}, {"sub": "nacos", "exp": 1 << 40}), UNSUPPORTED),
        (f"{_part({'alg': 'none'})}.{_part({'sub': 'nacos', 'exp': 1 << 40})}.", UNSUPPORTED),
        (_signed({"alg": "HS256", "typ": "JWT"}, {"sub": "nacos", "exp": 1 << 40}), UNSUPPORTED),
        (_signed({"alg": "HS256"}, {"sub": "nacos", "exp": 1 << 40}, b"another key of thirty-two bytes!"), INVALID),
        (_signed({"alg": "HS256"}, {"sub": "nacos"}), INVALID),
        (_signed({"alg": "HS256"}, {"exp": 1 << 40}), INVALID),
        (_signed({"alg": "HS256"}, {"sub": 7, "exp": 1 << 40}), INVALID),
        (_signed({"alg": "HS256"}, {"sub": "nacos", "exp": "soon"}), INVALID),
        (_signed({"alg": "HS256"}, {"sub": "nacos", "exp": True}), INVALID),
        (_signed({"alg": "HS256"}, {"sub": "nacos", "exp": -1}), INVALID),
        (_signed({"alg": "HS256"}, [1]), INVALID),
        (_signed({"alg": "HS256"}, b"{"), INVALID),
    ],
)
def test_what_is_no_token(token: str, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        SIGNER.read(token)


@given(st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        SIGNER.read(text)
    assert str(caught.value) in (INVALID, UNSUPPORTED, EXPIRED)


def _b64(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("size", [32, 33, 64])
def test_keys(size: int) -> None:
    key = bytes(range(100, 100 + size))
    assert key_of(_b64(key)) == key
    assert key_of(_b64(key).rstrip("=")) == key
    assert key_of(f" {base64.urlsafe_b64encode(key).decode()}\n") == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not base64!", "base64"),
        (_b64(b"x" * 31), "31 bytes"),
        ("SecretKey012345678901234567890123456789012345678901234567890123456789", "manuals"),
        (_b64(b"SecretKey012345678901234567890123456789012345678901234567890123456789"), "manuals"),
        ("VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=", "manuals"),
        ("", "0 bytes"),
    ],
)
def test_keys_that_nobody_should_use(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        key_of(text)
    assert not text or text not in str(caught.value), "the key is not said"
