"""HTTP to a registry: any of its addresses answers, answers are bounded, and every failure has one of the port's names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from polaris_bridge import __version__
from polaris_bridge.migration.model import RegistryEntry
from polaris_bridge.migration.ports import RefusedThere, RegistryError, Unauthorised, Unreachable, Unusable

MOST_BYTES: Final = 512 * 1024 * 1024
"""Of one answer; 100,000 instances of Eureka are about 150 MB."""
AT_ONCE: Final = 16
"""Requests to one registry at the same time."""

T = TypeVar("T")
Params = Mapping[str, str | int]


class Answer(Struct, frozen=True):
    """An answer that came whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The beginning of the body, for people."""
        return self.body[:200].decode("utf-8", "replace").strip()


class Web:
    """The addresses of one registry."""

    def __init__(
        self, entry: RegistryEntry, headers: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None
    ) -> None:
        """``headers`` go with every request, ``auth`` as Basic credentials.

        Raises ``RegistryError`` for a file of certificates that cannot be read.
        """
        self._entry = entry
        self._addresses = tuple(address.rstrip("/") for address in entry.addresses)
        self._at = 0
        self.headers = dict(headers or {})
        """Sent with every request; may be changed."""
        import httpx  # costs 10 MB and 100 ms that a server without registries elsewhere has better uses for

        # reading the machine's certificates costs 20 ms, which plain HTTP need not pay
        verify: ssl.SSLContext | bool = any(address.startswith("https:") for address in self._addresses)
        if entry.ca_file:
            try:
                verify = ssl.create_default_context(cafile=entry.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise RegistryError(f"{entry.ca_file} holds no certificates: {error}") from None
        self._client = httpx.AsyncClient(
            verify=verify,
            auth=auth,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"User-Agent": f"polaris-bridge/{__version__}"},
        )

    @property
    def address(self) -> str:
        """The address that answered last."""
        return self._addresses[self._at]

    async def ask(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        body: bytes | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> Answer:
        """One request, to the next address when one does not answer. ``wait_s``: how much longer the answer may take.

        Raises ``Unreachable``, ``Unauthorised`` (401, 403) and ``Unusable`` (5xx, or an answer that breaks off).
        """
        import httpx

        failed = ""
        for _ in self._addresses:
            address = self.address
            try:
                answer = await self._once(method, address + path, params, body, form, headers, wait_s)
            except (
                httpx.ConnectError,
                httpx.ConnectTimeout,
                httpx.ReadTimeout,
                httpx.PoolTimeout,
                httpx.WriteTimeout,
            ) as error:
                failed = f"{address} does not answer: {error or type(error).__name__}"
            except httpx.HTTPError as error:
                failed = f"{address} broke off: {error or type(error).__name__}"
            except httpx.InvalidURL as error:
                raise Unreachable(f"{address} is no address: {error}") from None
            else:
                if answer.status < 500 or method != "GET":
                    return answer
                failed = f"{address} answers {answer.status}: {answer.text}"
            self._at = (self._at + 1) % len(self._addresses)
        raise Unreachable(failed)

    async def good(self, method: str, path: str, params: Params | None = None, **more: Any) -> Answer:
        """``ask``, and every answer but 2xx raises: ``Unauthorised``, ``RefusedThere`` for other 4xx, ``Unusable``."""
        answer = await self.ask(method, path, params, **more)
        if 200 <= answer.status < 300:
            return answer
        said = f"{method} {self.address}{path} answers {answer.status}: {answer.text}"
        if answer.status in (401, 403):
            raise Unauthorised(f"{said}; check user and password or token of this registry")
        raise RefusedThere(said) if 400 <= answer.status < 500 else Unusable(said)

    async def json(self, kind: type[T], method: str, path: str, params: Params | None = None, **more: Any) -> T:
        """``good``, decoded. Raises ``Unusable`` for anything else than the JSON expected."""
        return self.decoded(kind, await self.good(method, path, params, **more), path)

    def decoded(self, kind: type[T], answer: Answer, path: str) -> T:
        """An answer's body. Raises ``Unusable`` for anything else than the JSON expected."""
        try:
            return msgspec.json.decode(answer.body, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unusable(f"{self.address}{path} answers something else: {error}") from None

    async def _once(
        self,
        method: str,
        url: str,
        params: Params | None,
        body: bytes | None,
        form: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        wait_s: float,
    ) -> Answer:
        import httpx

        timeout = httpx.Timeout(self._entry.timeout_s, read=self._entry.timeout_s + wait_s)
        async with self._client.stream(
            method,
            url,
            params=params,
            content=body,
            data=form,
            headers={**self.headers, **(headers or {})},
            timeout=timeout,
        ) as answer:
            parts = []
            size = 0
            async for part in answer.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES:
                    raise Unusable(f"{url} answers more than {MOST_BYTES} bytes")
            return Answer(answer.status_code, answer.headers, b"".join(parts))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


async def warm() -> None:
    """Load the HTTP client beside the event loop, before it is first needed."""
    await asyncio.to_thread(import_module, "httpx")


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


async def each(items: Sequence[T], do: Callable[[T], Awaitable[Any]], at_once: int = AT_ONCE) -> list[Any]:
    """``do`` for every item, some at a time; results in order. The first error ends it and is raised."""
    gate = asyncio.Semaphore(at_once)

    async def one(item: T) -> Any:
        async with gate:
            return await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
