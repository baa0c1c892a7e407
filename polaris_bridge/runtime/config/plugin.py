"""The section ``plugin``."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from .fields import ByName, Empty, Section, key, unused
from .ratelimit import RateLimit
from .values import DataPath, Networks, Seconds


class OutputOption(Section):
    """Options of the older plugins that wrote files of their own."""

    output_path: str = unused("", "Older: folder of the files; `bootstrap.logger` has their place now.")
    queue_size: int = unused(1024, "Lines that may wait.", ge=1)
    logger: list[Any] = unused([], "Older: nested loggers.")


class HistoryPlugin(ByName):
    """Operation records."""

    name: Literal["HistoryLogger"] = key(
        "HistoryLogger", "Write one line for each operation to the scope `HistoryLogger`."
    )
    option: Empty = key(Empty.model_construct(), "It has no options.")


class EventPlugin(ByName):
    """Instance events."""

    name: Literal["discoverEventLocal"] = key(
        "discoverEventLocal", "Write one line for each instance event to the scope `discoverEventLocal`."
    )
    option: OutputOption = key(OutputOption.model_construct(), "Its options.")


class StatisOption(Section):
    """Options of call statistics."""

    interval: Seconds = key(timedelta(seconds=60), "Seconds between two reports.")
    output_path: str = unused("", "Older: folder of the files; `bootstrap.logger` has their place now.")


class LocalStatis(ByName):
    """Call statistics in a file."""

    name: Literal["local"] = key(
        "local", "Write calls by API, protocol and code to `local`, and counts to `discoverstat`."
    )
    option: StatisOption = key(StatisOption.model_construct(), "Its options.")


class PrometheusStatis(ByName):
    """Call statistics as metrics."""

    name: Literal["prometheus"] = key(
        "prometheus", "Show polaris-server's own metric names at `/metrics`, besides ours."
    )
    option: StatisOption = key(StatisOption.model_construct(), "Its options.")


Statis = Annotated[LocalStatis | PrometheusStatis, Field(discriminator="name")]


class HistoryChain(Section):
    """Chain of operation records."""

    entries: list[HistoryPlugin] = key([], "Plugins that get every operation.")


class EventChain(Section):
    """Chain of instance events."""

    entries: list[EventPlugin] = key([], "Plugins that get every event.")


class StatisChain(Section):
    """Chain of call statistics."""

    entries: list[Statis] = key([], "Plugins that count every call.")


class WhitelistOption(Section):
    """Options of the whitelist."""

    ip: Networks = key((), "Client addresses or networks that may call; anything else is refused.")


class Whitelist(Section):
    """Client addresses allowed on HTTP."""

    name: Literal["whitelist", ""] = key("", "`whitelist` switches it on.")
    option: WhitelistOption = key(WhitelistOption.model_construct(), "Its options.")


class CryptoOption(Section):
    """Options of the older form."""

    algorithm: str = unused("AES", "Older: the algorithm's name.")
    server_key_file: DataPath = key(
        None,
        "File with the server's key, which seals the key of every encrypted file; unset = `config.key` under `--data`, made "
        "on first use with mode 0600. Without it encrypted files cannot be read.",
    )


class CryptoPlugin(ByName):
    """An algorithm for encrypted configuration files."""

    name: Literal["AES", "crypto"] = key(
        "AES", "Algorithm for encrypted configuration files; there is one, `crypto` is its older name."
    )
    option: CryptoOption = key(CryptoOption.model_construct(), "Its options.")


class CryptoChain(Section):
    """Algorithms for encrypted configuration files."""

    entries: list[CryptoPlugin] = key(
        [CryptoPlugin.model_construct()],
        "Algorithms; an empty list: nothing is encrypted any more, what is stays readable.",
    )


class CmdbOption(Section):
    """Options of the location lookup."""

    url: str = key("", "http(s) address that pages of locations are asked of; empty = nothing is known.")
    token: SecretStr = key(SecretStr(""), "Sent to it as header `Authorization`.")
    interval: Seconds = key(
        timedelta(seconds=60), "How often all pages are read again; at least 1 s. A failed load keeps the last one."
    )


class Cmdb(Section):
    """Location lookup."""

    name: Literal["memory", ""] = key("", "`memory` switches it on.")
    option: CmdbOption = key(CmdbOption.model_construct(), "Its options.")


class PlainPlugin(Section):
    """A plugin of older files, with whatever options it had."""

    name: str = unused("", "Its name.")
    option: dict[str, Any] = unused({}, "Its options.")


class Plugins(Section):
    """Plugins by kind."""

    history: HistoryChain = key(HistoryChain.model_construct(), "Operation records.")
    discover_event: EventChain = key(EventChain.model_construct(), "Instance events.")
    statis: StatisChain = key(StatisChain.model_construct(), "Call statistics.")
    whitelist: Whitelist = key(Whitelist.model_construct(), "Client addresses that may use HTTP.")
    crypto: CryptoChain = key(CryptoChain.model_construct(), "Encrypted configuration files.")
    cmdb: Cmdb = key(
        Cmdb.model_construct(),
        "Location of instances and SDKs that do not say theirs, by address, from another system.",
    )
    ratelimit: RateLimit = key(RateLimit.model_construct(), "How often this server may be called.")
    discover_statis: PlainPlugin = unused(
        PlainPlugin.model_construct(), "Older place of the counts that `statis` writes now."
    )
    parse_password: PlainPlugin = unused(PlainPlugin.model_construct(), "Decrypts the database password.")
    mesh_resource_validate: PlainPlugin = unused(PlainPlugin.model_construct(), "Older check of mesh resources.")
    hide_service: PlainPlugin = unused(PlainPlugin.model_construct(), "Older: services that consoles do not show.")
    auth: PlainPlugin = unused(PlainPlugin.model_construct(), "Older place of `auth`.")
