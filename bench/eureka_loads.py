"""The requests that a Eureka server gets, as loads for wrk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet import DIRTY_MS, REGISTER_HEADERS, Fleet
from measure import HttpLoad

FLEET = Fleet(1000)
"""What is registered: ten applications of 100."""
JSON = {"Accept": "application/json"}
NEWCOMERS = "newcomers"
"""How the names of applications begin that exist only while registrations of new instances are measured."""
XML = {"Accept": "application/xml"}
GZIP = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True)
class Case:
    """One operation; ``load`` makes the requests for a path prefix. ``answer`` is what the floor answers with."""

    what: str
    target: float | None
    load: Callable[[str], HttpLoad]
    status: int = 200
    size: int = 0
    note: str = ""
    grows: bool = False
    """The server holds more and more meanwhile: measured briefly, on what the cases before it have warmed up."""


def _scripted(script: str) -> Callable[[str], HttpLoad]:
    headers = "".join(
        f"wrk.headers[{_lua(k)}] = {_lua(v)}\n" for k, v in REGISTER_HEADERS.items() if k != "Content-Type"
    )
    return lambda prefix: HttpLoad(lua=FLEET.lua() + headers + f"local prefix = {_lua(prefix)}\n" + script)


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_JSON_BODY = (
    'local typed = {["Content-Type"] = "application/json"}\nfor k, v in pairs(wrk.headers) do typed[k] = v end\n'
)

_RENEW = f"""
local requests, n = {{}}, 0
function init()
  for i = 0, size - 1 do
    local query = "?status=UP&lastDirtyTimestamp={DIRTY_MS}"
    requests[i] = wrk.format("PUT", prefix .. "/apps/" .. app(i) .. "/" .. id(i) .. query)
  end
end
function request() n = (n + 1) % size; return requests[n] end
"""

_AGAIN = f"""
{_JSON_BODY}
local n, dirty = 0, os.time() * 1000 - 60000
function request()
  n = (n + 1) % size
  if n == 0 then dirty = dirty + 1 end
  return wrk.format("POST", prefix .. "/apps/" .. app(n), typed, body(n, string.format("%.0f", dirty)))
end
"""

_NEW = f"""
{_JSON_BODY}
label = "{NEWCOMERS}" .. os.time()
local n = -1
function request()
  n = n + 1
  return wrk.format("POST", prefix .. "/apps/" .. app(n), typed, body(n, "{DIRTY_MS}"))
end
"""

_MIX = f"""
{_JSON_BODY}
local gzipped = {{["Accept-Encoding"] = "gzip", ["Accept"] = "application/json"}}
local renewals, n, dirty = {{}}, 0, os.time() * 1000 - 60000
local delta, apps
function init()
  for i = 0, size - 1 do
    local query = "?status=UP"
    renewals[i] = wrk.format("PUT", prefix .. "/apps/" .. app(i) .. "/" .. id(i) .. query)
  end
  delta, apps = wrk.format("GET", prefix .. "/apps/delta", gzipped), wrk.format("GET", prefix .. "/apps", gzipped)
end
function request()
  n = n + 1
  local turn = n % 1000
  if turn == 0 then
    dirty = dirty + 1
    local i = math.floor(n / 1000) % size
    return wrk.format("POST", prefix .. "/apps/" .. app(i), typed, body(i, string.format("%.0f", dirty)))
  end
  if turn % 250 == 1 then return apps end
  if turn % 2 == 0 then return delta end
  return renewals[(n * 7) % size]
end
"""


def _get(path: str, *headers: dict[str, str]) -> Callable[[str], HttpLoad]:
    merged: dict[str, str] = {}
    for some in headers:
        merged.update(some)
    return lambda prefix: HttpLoad(path=f"{prefix}{path}", headers=merged)


_ONE = FLEET[500]
_BY_ID = f"/apps/{_ONE.app}/{_ONE.id}"


def cases(sizes: Callable[[str, dict[str, str]], int]) -> list[Case]:
    """Everything measured under load. ``sizes`` tells how large an answer is, for the floor."""

    def read(what: str, path: str, target: float | None, *headers: dict[str, str]) -> Case:
        load = _get(path, *headers)
        return Case(what, target, load, size=sizes(path, load("").headers))

    return [
        Case("renew", 60, _scripted(_RENEW)),
        Case("register again, new dirty timestamp", 250, _scripted(_AGAIN), 204),
        read("GET apps/delta of 1,000 changes, gzip JSON", "/apps/delta", None, JSON, GZIP),
        read("GET apps of 1,000, gzip JSON", "/apps", 150, JSON, GZIP),
        read("GET apps of 1,000, plain JSON", "/apps", 800, JSON),
        read("GET apps of 1,000, gzip XML", "/apps", None, XML, GZIP),
        read("GET apps of 1,000, plain XML", "/apps", None, XML),
        read("GET apps/{app}/{id}, JSON", _BY_ID, None, JSON),
        Case("fleet: 1 renewal, 1 delta per client", None, _scripted(_MIX), note="per 1,000: 4 apps, 1 register"),
        Case("register, new instances", 250, _scripted(_NEW), 204, grows=True),
    ]
