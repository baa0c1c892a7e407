"""Plugin ``cmdb``, implementation ``memory``: where addresses are, read page by page from another system now and then.

One page: POST ``{request_id, page_no, page_size}`` with the header ``Authorization: <token>``; the answer is
``{code 200000, total, size, data: [{ip, type, region{name}, zone{name}, campus{name}}]}``. ``type`` is ``host`` (one address),
``mask`` (a network) or ``backoff`` (everything else). A load that fails in any part leaves what the last one brought.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from email.message import Message as Headers
from http.client import HTTPException, HTTPResponse
from typing import IO, Final

import msgspec
from msgspec import Struct

from polaris_bridge.core.model import NOWHERE, Location

from ..logs import scope

SCOPE: Final = "cmdb"

PAGE: Final = 100
"""Entries of one page, as polaris-server asks for them."""
SUCCESS: Final = 200000
MAX_ENTRIES: Final = 1_000_000
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
TIMEOUT_S: Final = 5.0
"""Longest silence of the other system within one page."""
LOAD_S: Final = 120.0
"""Longest that a whole load may take."""

_CHUNK: Final = 64 * 1024


class Place(Struct, frozen=True):
    """A region, zone or campus."""

    name: str = ""


class Entry(Struct, frozen=True):
    """One line of the other system."""

    ip: str = ""
    type: str = ""
    region: Place | None = None
    zone: Place | None = None
    campus: Place | None = None

    @property
    def location(self) -> Location:
        """What it says of its addresses."""
        return Location(*(place.name if place is not None else "" for place in (self.region, self.zone, self.campus)))


class Page(Struct, frozen=True):
    """One answer."""

    code: int = 0
    info: str = ""
    total: int = 0
    data: list[Entry] | None = None


class LoadFailed(Exception):
    """Why a load came to nothing."""


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Atlas:
    """What one load brought. A host goes before the longest mask, any mask before the backoff."""

    __slots__ = ("_backoff", "_masks", "hosts", "ignored")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.hosts: dict[str, Location] = {}
        """By address, or by host name where the other system knows names."""
        self.ignored: list[str] = []
        """Entries that say nothing usable."""
        self._backoff: Location | None = None
        masks: dict[int, dict[int, dict[int, Location]]] = {4: {}, 6: {}}
        for entry in entries:
            network = _network(entry.ip) if entry.type == "mask" else None
            if entry.type == "host" and entry.ip:
                self.hosts[_canonical(entry.ip)] = entry.location
            elif network is not None:
                kept = masks[network.version].setdefault(network.prefixlen, {})
                kept.setdefault(int(network.network_address), entry.location)  # the first of two equal ones, as there
            elif entry.type == "backoff":
                self._backoff = entry.location
            else:
                self.ignored.append(f"{entry.type} {entry.ip}".strip())
        self._masks = {
            version: [(_bits(version, length), kept[length]) for length in sorted(kept, reverse=True)]
            for version, kept in masks.items()
        }

    def locate(self, ip: str) -> Location | None:
        """Where an address (or host name) is; None when nothing is known of it."""
        found = self.hosts.get(ip)
        if found is None:
            found = self._elsewhere(ip)
        return found if found != NOWHERE else None

    def _elsewhere(self, ip: str) -> Location | None:
        address = _address(ip)
        if address is not None:
            host = self.hosts.get(str(address))
            if host is not None:
                return host
            number = int(address)
            for mask, networks in self._masks[address.version]:
                location = networks.get(number & mask)
                if location is not None:
                    return location
        return self._backoff


def _bits(version: int, length: int) -> int:
    width = 32 if version == 4 else 128
    return ((1 << length) - 1) << (width - length)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _canonical(text: str) -> str:
    address = _address(text)
    return text if address is None else str(address)


def _network(text: str) -> _Network | None:
    """A network as the original reads it: with its prefix length. None when it is none."""
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def read_all(ask: Callable[[int], Page]) -> Iterator[Entry]:
    """Every entry, page after page (from 1) until ``total`` is reached. Raises ``LoadFailed``."""
    read, number = 0, 0
    while True:
        number += 1
        page = ask(number)
        if page.code != SUCCESS:
            raise LoadFailed(f"page {number}: code {page.code} {page.info}".rstrip())
        entries = page.data or []
        yield from entries
        read += len(entries)
        if read >= page.total:
            return
        if not entries:
            raise LoadFailed(f"page {number} is empty, but only {read} of {page.total} entries came")
        if read >= MAX_ENTRIES:
            raise LoadFailed(f"more than {MAX_ENTRIES} entries")


class Locations:
    """The locations that one other system knows, read at ``start`` and every ``interval_s`` seconds until ``stop``.

    Reading happens in a thread; everything else belongs to the event loop's.
    """

    def __init__(
        self, url: str, token: str = "", interval_s: float = 60.0, logger: logging.Logger | None = None
    ) -> None:
        """Raises ``ValueError`` for an address that is not http or https. An empty one knows nothing, as there."""
        if url and urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"plugin.cmdb.option.url: {url!r} is no http(s) address")
        self._url = url
        self._token = token
        self._interval_s = max(1.0, interval_s)
        self._logger = logger or scope(SCOPE)
        self._atlas = Atlas()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self.loads = 0
        """Loads that were finished, well or not."""
        self.finished: list[Callable[[], None]] = []
        """Called after every load."""

    def locate(self, ip: str) -> Location | None:
        """Where an address is, by the last load that worked."""
        return self._atlas.locate(ip)

    def hosts(self) -> dict[str, Location]:
        """Every single address that is known. Not to be changed."""
        return self._atlas.hosts

    def start(self) -> None:
        """Begin to read. Returns at once."""
        if self._url:
            self._stopped.clear()
            self._load(asyncio.get_running_loop())

    def stop(self) -> None:
        """Read no more. A load under way ends by itself and changes nothing."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        def work() -> None:
            try:
                result: Atlas | LoadFailed = Atlas(read_all(Pages(self._url, self._token, self._stopped)))
            except LoadFailed as error:
                result = error
            if not self._stopped.is_set():
                with contextlib.suppress(RuntimeError):  # the loop was closed without ``stop``
                    loop.call_soon_threadsafe(self._loaded, loop, result)

        # a daemon: a system that drips bytes must not hold up the end of this process
        threading.Thread(target=work, name="cmdb", daemon=True).start()

    def _loaded(self, loop: asyncio.AbstractEventLoop, result: Atlas | LoadFailed) -> None:
        if self._stopped.is_set():
            return
        self.loads += 1
        if isinstance(result, LoadFailed):
            self._logger.error("locations were not read from %s (the last ones stay): %s", self._url, result)
        else:
            if result.ignored:
                self._logger.warning("%d entries say nothing, such as %r", len(result.ignored), result.ignored[0])
            self._atlas = result
        for tell in self.finished:
            tell()
        self._timer = loop.call_later(self._interval_s, self._load, loop)


class Pages:
    """Asks for pages of one load over HTTP. Blocks; raises ``LoadFailed``."""

    def __init__(self, url: str, token: str, stopped: threading.Event) -> None:
        self._url = url
        self._token = token
        self._stopped = stopped
        self._id = uuid.uuid4().hex
        self._deadline = time.monotonic() + LOAD_S
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __call__(self, number: int) -> Page:
        """The page with this number."""
        body = msgspec.json.encode({"request_id": self._id, "page_no": number, "page_size": PAGE})
        headers = {"Authorization": self._token, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                text = self._read(answer)
            return msgspec.json.decode(text, type=Page)
        except urllib.error.HTTPError as error:
            error.close()
            raise LoadFailed(f"page {number}: status {error.code}") from error
        except (OSError, HTTPException, ValueError) as error:  # ValueError: no JSON, or another shape
            raise LoadFailed(f"page {number}: {error}") from error

    def _read(self, answer: HTTPResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := answer.read1(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_PAGE_BYTES:
                raise LoadFailed(f"a page of more than {MAX_PAGE_BYTES} bytes")
            if self._stopped.is_set() or time.monotonic() > self._deadline:
                raise LoadFailed("the load was given up")
        return b"".join(parts)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for the address in the file and for nobody it points to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Headers, newurl: str
    ) -> None:
        """Never: the answer becomes an ``HTTPError``."""
