"""Which fields the real server's JSON never shows, because its specification (1.5.3-alpha.2) is older than the one we speak.

They are read like any other, and written only when they are set: an answer that does not use them has the original's bytes.
Messages that are new as a whole are not listed, since the original never writes one.
"""

from __future__ import annotations

from typing import Final

NEWER: Final[dict[str, frozenset[int]]] = {
    "v1.BatchQueryResponse": frozenset({24}),
    "v1.BlockConfig": frozenset({5}),
    "v1.CircuitBreakerRule": frozenset({51}),
    "v1.Client": frozenset({100, 101, 102}),
    "v1.ClientConfigFileInfo": frozenset({12, 13, 14}),
    "v1.ClientWatchConfigFileRequest": frozenset({4}),
    "v1.ConfigExportResponse": frozenset({4}),
    "v1.ConfigFile": frozenset({18, 19}),
    "v1.ConfigFileExportRequest": frozenset({4}),
    "v1.ConfigFileGroupRequest": frozenset({13}),
    "v1.ConfigFilePublishInfo": frozenset({18, 19}),
    "v1.ConfigFileRelease": frozenset({20, 21, 22}),
    "v1.ConfigFileReleaseHistory": frozenset({19, 20}),
    "v1.ConfigImportResponse": frozenset({6}),
    "v1.ConfigResponse": frozenset({8}),
    "v1.DiscoverRequest": frozenset({31}),
    "v1.DiscoverResponse": frozenset({25, 26, 27, 28, 29, 100}),
    "v1.HeartbeatRecord": frozenset({8}),
    "v1.InterfaceDescriptor": frozenset({15}),
    "v1.LaneRule": frozenset({14, 15}),
    "v1.Namespace": frozenset({18}),
    "v1.Response": frozenset({100}),
    "v1.Route": frozenset({50}),
    "v1.Service": frozenset({26, 27, 28, 101, 102}),
    "v1.ServiceAlias": frozenset({25, 26}),
    "v1.ServiceContract": frozenset({16, 20}),
}
"""Field numbers by message."""

OLDER: Final[dict[str, dict[int, str]]] = {"v1.DiscoverResponse": {25: '"losslessRules": [\n ]'}}
"""What the original writes in the place of a number that has another meaning today: a list that its Discover never fills."""
