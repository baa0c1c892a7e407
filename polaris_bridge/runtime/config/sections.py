"""The sections ``auth``, ``namespace``, ``config`` and ``cache``."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, SecretStr

from .fields import Section, key, unused
from .values import Seconds, SignedDuration

SALT_SIZES: Final = (16, 24, 32)
"""Lengths of an AES key."""


def _salt(value: SecretStr) -> SecretStr:
    size = len(value.get_secret_value().encode())
    if size not in SALT_SIZES:
        raise ValueError(f"expected 16, 24 or 32 bytes, found {size}")
    return value


Salt = Annotated[SecretStr, AfterValidator(_salt)]


class UserOption(Section):
    """Options of the user directory."""

    salt: Salt = key(
        SecretStr("polarismesh@2021"),
        "Key that tokens are encrypted with, 16, 24 or 32 bytes; the original's, so that its tokens stay valid.",
    )
    seed_default_admin: bool = key(
        False, "Create the original's user `polaris` with its public password and token. Off: everybody knows them."
    )
    initial_password: SecretStr = key(
        SecretStr(""), "Password of the first administrator; empty = one is made up and shown once."
    )


class UserDirectory(Section):
    """Users and groups."""

    name: Literal["defaultUser"] = key("defaultUser", "Implementation; there is one.")
    option: UserOption = key(UserOption.model_construct(), "Its options.")


class StrategyOption(Section):
    """When credentials are checked on the native ports. The directory itself can only be used with a right to it."""

    console_open: bool = key(True, "Check calls of consoles and scripts.")
    console_strict: bool = key(True, "Refuse such calls with a bad token instead of treating them as anonymous.")
    client_open: bool = key(False, "Check calls of SDKs.")
    client_strict: bool = key(False, "Refuse SDK calls with a bad token instead of treating them as anonymous.")
    strict: bool = key(False, "Older form of both `…Strict` keys.")
    compatible: bool = unused(True, "Keep the meaning of policies written by older versions; always kept here.")
    credible_headers: Any = unused(None, "Headers that mark a call as trusted; anybody can send headers.")
    salt: SecretStr = unused(SecretStr(""), "Older place of `auth.user.option.salt`.")


class Strategy(Section):
    """Policies."""

    name: Literal["defaultStrategy"] = key("defaultStrategy", "Implementation; there is one.")
    option: StrategyOption = key(StrategyOption.model_construct(), "Its options.")


class Auth(Section):
    """Users and policies."""

    user: UserDirectory = key(UserDirectory.model_construct(), "Users and groups.")
    strategy: Strategy = key(Strategy.model_construct(), "Policies.")


class Namespace(Section):
    """Namespaces."""

    auto_create: bool = key(
        True, "Create a namespace when something is first registered in it; off: such registrations are refused."
    )


class ConfigCache(Section):
    """Cache of the configuration centre in older files."""

    expire_time_after_write: Seconds = unused(timedelta(seconds=3600), "Seconds that a file stays cached.")


class ConfigCentre(Section):
    """The configuration centre."""

    open: bool = key(True, "Whether the configuration centre is served; off, every protocol says that it is not there.")
    content_max_length: int = key(
        20_000,
        "Characters that a content written through the native protocol may have. Nacos allows 10 MiB, as it does itself.",
        ge=1,
    )
    validate_format: bool = key(
        False,
        "Refuse to publish a content that is not what its format says (JSON, YAML to 1 MiB and 100 levels, XML, properties, TOML "
        "to 512 KiB), with line and column; off as in the original.",
    )
    cache: ConfigCache = unused(ConfigCache.model_construct(), "Older cache settings.")


class Cache(Section):
    """How the original reads its store again; here every reader sees the core's own state."""

    diff_time: SignedDuration = unused(timedelta(seconds=5), "Overlap of two reads, for clocks that differ.")
    report_interval: SignedDuration = unused(timedelta(seconds=1), "How often counts are reported.")
    open: bool = unused(True, "Older switch.")
    refresh_interval: SignedDuration = unused(timedelta(seconds=1), "Older interval between two reads.")
    resources: list[Any] = unused([], "Older list of tables to cache.")
