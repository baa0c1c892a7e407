"""The sections ``auth``, ``namespace``, ``config`` and ``cache``."""

from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from .fields import Section, key, unused
from .values import Seconds, SignedDuration


class UserOption(Section):
    """Options of the user directory."""

    salt: SecretStr = unused(
        SecretStr("polarismesh@2021"),
        "Key that tokens are encrypted with, 16, 24 or 32 bytes; the original's, so that its tokens stay valid.",
    )
    seed_default_admin: bool = unused(
        False, "Create the original's user `polaris` with its public password and token. Off: everybody knows them."
    )
    initial_password: SecretStr = unused(
        SecretStr(""), "Password of the first administrator; empty = one is made up and shown once."
    )


class UserDirectory(Section):
    """Users and groups."""

    name: str = unused("defaultUser", "Implementation; there is one.")
    option: UserOption = unused(UserOption.model_construct(), "Its options.")


class StrategyOption(Section):
    """When credentials are checked on the native ports."""

    console_open: bool = unused(True, "Check calls of consoles and scripts.")
    console_strict: bool = unused(True, "Refuse such calls with a bad token instead of treating them as anonymous.")
    client_open: bool = unused(False, "Check calls of SDKs.")
    client_strict: bool = unused(False, "Refuse SDK calls with a bad token instead of treating them as anonymous.")
    strict: bool = unused(False, "Older form of both `…Strict` keys.")
    compatible: bool = unused(True, "Keep the meaning of policies written by older versions.")
    credible_headers: Any = unused(None, "Headers that mark a call as trusted.")
    salt: SecretStr = unused(SecretStr(""), "Older place of `auth.user.option.salt`.")


class Strategy(Section):
    """Policies."""

    name: str = unused("defaultStrategy", "Implementation; there is one.")
    option: StrategyOption = unused(StrategyOption.model_construct(), "Its options.")


class Auth(Section):
    """Users and policies."""

    user: UserDirectory = unused(UserDirectory.model_construct(), "Users and groups.")
    strategy: Strategy = unused(Strategy.model_construct(), "Policies.")


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

    open: bool = unused(True, "Whether the configuration centre is on.")
    content_max_length: int = unused(20_000, "Largest content of a file, in characters.", ge=1)
    cache: ConfigCache = unused(ConfigCache.model_construct(), "Older cache settings.")


class Cache(Section):
    """How the original reads its store again; here every reader sees the core's own state."""

    diff_time: SignedDuration = unused(timedelta(seconds=5), "Overlap of two reads, for clocks that differ.")
    report_interval: SignedDuration = unused(timedelta(seconds=1), "How often counts are reported.")
    open: bool = unused(True, "Older switch.")
    refresh_interval: SignedDuration = unused(timedelta(seconds=1), "Older interval between two reads.")
    resources: list[Any] = unused([], "Older list of tables to cache.")
