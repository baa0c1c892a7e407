"""What Nacos (2.5.1) demands of every instance however it comes; limits of single parameters are ``wire.params``' business."""

from __future__ import annotations

import re
from typing import Final

from polaris_bridge.adapters.nacos.translate.instances import times
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import Refused

_CLUSTER: Final = re.compile(r"[0-9a-zA-Z-]+\Z", re.ASCII)
_TIMES: Final = "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'."


def check(cluster: str | None, metadata: dict[str, str]) -> None:
    """Whether a cluster's name and the times in metadata are acceptable. Raises ``Refused``."""
    interval_ms, timeout_ms, deletion_ms = times(metadata)
    if timeout_ms < interval_ms or deletion_ms < interval_ms:
        raise Refused(400, codes.INSTANCE, _TIMES)
    if cluster and not _CLUSTER.match(cluster):
        text = f"Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: {cluster})"
        raise Refused(400, codes.INSTANCE, text)
