"""Every client library against every transport: what must work for all of them."""

from __future__ import annotations

import pytest

from .conftest import Runs
from .matrix import CHECKS, CLIENTS, PLAIN_ONLY, PROGRAM_ENDS_WITHIN_S, TRANSPORTS, Case

pytestmark = [pytest.mark.live, pytest.mark.timeout(3 * PROGRAM_ENDS_WITHIN_S)]

CASES = [
    pytest.param(Case(client, transport, tls), check, id=f"{transport}-{'tls' if tls else 'plain'}-{client}-{check}")
    for tls in (False, True)
    for transport in TRANSPORTS
    for client in CLIENTS
    for check in CHECKS
    if not (tls and check in PLAIN_ONLY)
]


@pytest.mark.parametrize(("case", "check"), CASES)
def test_client(case: Case, check: str, runs: Runs) -> None:
    runs[case].assert_ok(check)
