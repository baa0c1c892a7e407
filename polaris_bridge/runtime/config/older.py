"""Older forms of the file, rewritten to today's before anything is checked: the tables are the list of what is known.

Sources: the configuration files that PolarisMesh shipped from 1.2 to 1.19.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .problems import Place, Problem
from .shape import dotted, label
from .tree import Node

_MOVED: Mapping[str, str] = {
    "config_file": "config",
    "namespace.autocreate": "namespace.autoCreate",
    "auth.option.salt": "auth.user.option.salt",
    "auth.option.consoleOpen": "auth.strategy.option.consoleOpen",
    "auth.option.consoleStrict": "auth.strategy.option.consoleStrict",
    "auth.option.clientOpen": "auth.strategy.option.clientOpen",
    "auth.option.clientStrict": "auth.strategy.option.clientStrict",
    "auth.option.strict": "auth.strategy.option.strict",
}
"""Key -> where it stands today."""

_RENAMED_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "tls": {"cert": "certFile", "key": "keyFile", "caCert": "trustedCAFile"},
    "connLimit": {"purgeCounterExpired": "purgeCounterExpire"},
}
"""Within ``option`` of any listener."""

_NOT_OLD = ("purgeCounterExpired",)
"""Two spellings of one key, both in use: no warning. (Shipped files have the one, the original's code reads the other.)"""

_LISTENERS: Mapping[str, str] = {
    "eurekaserver": "service-eureka",
    "httpserver": "api-http",
    "grpcserver": "service-grpc",
    "configgrpcserver": "config-grpc",
    "xdsserver": "xds-v3",
    "xdsserverv3": "xds-v3",
    "l5pbserver": "service-l5",
    "prometheusserver": "prometheus-sd",
}

_SCOPES: Mapping[str, str] = {
    "defaultAuth": "auth",
    "health-check": "healthcheck",
    "rateLimit": "token-bucket",
    "discoverStat": "discoverstat",
    "discoverLocal": "discoverstat",
    "history": "HistoryLogger",
}

_GONE = (
    "auth.name",
    "auth.option.open",
    "auth.option.maintainOpen",
    "auth.option.jwtExpired",
    *(
        f"bootstrap.logger.{scope}"
        for scope in (
            "server", "plugin", "platform", "password", "statis", "heartbeat", "sysop", "HistoryLoki", "discoverEventLoki",
        )
    ),
)  # fmt: skip
"""Read without effect: nothing of today's format has their place."""

_GONE_SCOPE_KEYS = ("rotationMaxDuration", "logCaller")
_NOTHING = Node(None, Place(""))

_CHAINS: Mapping[str, Mapping[str, str]] = {
    "history": {},
    "discoverEvent": {"discoverEvent": "discoverEventLocal"},
    "statis": {},
    "crypto": {},
}
"""Plugins that are lists today, and their older names."""


@dataclass(slots=True)
class Rewriting:
    """What was found: conflicts of an old with a new form, warnings, and keys without effect."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    without_effect: list[str] = field(default_factory=list)


def modernise(root: Node) -> Rewriting:
    """Rewrite the tree in place. Doing it twice changes nothing more."""
    done = Rewriting()
    for path in _GONE:
        if _take(root, path):
            done.without_effect.append(path)
    for old, new in _MOVED.items():
        _move(root, old, new, done)
    _drop_empty(root, "auth.option")
    _listeners(root, done)
    _scopes(root, done)
    plugins = root.children.get("plugin", _NOTHING)
    for name, renamed in _CHAINS.items():
        _chain(plugins, name, renamed)
    return done


def _listeners(root: Node, done: Rewriting) -> None:
    listeners = root.children.get("apiservers", _NOTHING)
    for index, listener in enumerate(listeners.items):
        own = listener.text("name")
        if own in _LISTENERS:
            done.warnings.append(_older(listener.children["name"], f"the listener name {own}", _LISTENERS[own]))
            listener.children["name"].value = _LISTENERS[own]
        prefix = f"apiservers.{label(listeners, index)}.option"
        option = listener.children.get("option", _NOTHING)
        for section, renamed in _RENAMED_OPTIONS.items():
            holder = option.children.get(section, _NOTHING)
            for old, new in renamed.items():
                _rename(holder, old, new, f"{prefix}.{section}", done)


def _scopes(root: Node, done: Rewriting) -> None:
    logger = root.children.get("bootstrap", _NOTHING).children.get("logger", _NOTHING)
    for old, new in _SCOPES.items():
        if old in logger.children and new in logger.children:
            del logger.children[old]
            done.without_effect.append(f"bootstrap.logger.{old}")
        _rename(logger, old, new, "bootstrap.logger", done)
    for scope, node in logger.children.items():
        for key in _GONE_SCOPE_KEYS:
            if node.children.pop(key, None):
                done.without_effect.append(f"bootstrap.logger.{scope}.{key}")


def _chain(plugins: Node, name: str, renamed: Mapping[str, str]) -> None:
    """Bring ``[...]`` and ``{name, option}`` into the form ``{entries: [...]}``."""
    chain = plugins.children.get(name)
    if chain is None:
        return
    if isinstance(chain.value, list):
        chain.value = {"entries": Node(chain.value, chain.place, chain.key_place)}
    if "name" in chain.children:
        single: dict[str, Node] = {key: chain.children.pop(key) for key in ("name", "option") if key in chain.children}
        entries = chain.children.setdefault("entries", Node([], chain.place, chain.key_place))
        entries.items.insert(0, Node(single, single["name"].place))
    for entry in chain.children.get("entries", _NOTHING).items:
        if entry.text("name") in renamed:
            entry.children["name"].value = renamed[entry.text("name")]


def _move(root: Node, old: str, new: str, done: Rewriting) -> None:
    node = _take(root, old)
    if node is None:
        return
    *parents, key = new.split(".")
    holder = root
    for part in parents:
        holder = holder.children.setdefault(part, Node({}, node.place, node.key_place))
    if not isinstance(holder.value, dict):
        return  # reported as the wrong type
    _put(holder, key, node, old, new, done)


def _rename(holder: Node, old: str, new: str, prefix: str, done: Rewriting) -> None:
    node = holder.children.pop(old, None)
    if node is not None:
        _put(holder, new, node, dotted(prefix, old), dotted(prefix, new), done)


def _put(holder: Node, key: str, node: Node, old: str, new: str, done: Rewriting) -> None:
    if key in holder.children:
        other = holder.children[key].key_place
        done.problems.append(Problem(node.key_place, old, f"{new} says the same in {other}; remove one of them"))
        return
    holder.children[key] = node
    if old.rpartition(".")[2] not in _NOT_OLD:
        done.warnings.append(_older(node, old, new))


def _older(node: Node, old: str, new: str) -> str:
    return f"{node.key_place}: {old} is an older form; write {new}"


def _take(root: Node, path: str) -> Node | None:
    holder, key = _holder(root, path)
    return holder.children.pop(key, None)


def _drop_empty(root: Node, path: str) -> None:
    holder, key = _holder(root, path)
    node = holder.children.get(key)
    if node is not None and not node.value:
        del holder.children[key]


def _holder(root: Node, path: str) -> tuple[Node, str]:
    """The mapping that a dotted key stands in, and the key's last part."""
    *parents, key = path.split(".")
    holder = root
    for part in parents:
        holder = holder.children.get(part, _NOTHING)
    return holder, key
