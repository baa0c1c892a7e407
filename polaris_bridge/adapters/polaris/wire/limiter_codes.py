"""The codes of a limiter's answers (polaris-limiter, main of 2025-04): class by thousands, 2xx success, 404 means INIT again."""

from __future__ import annotations

from typing import Final

OK: Final = 200000
INVALID_SERVICE: Final = 400201
INVALID_NAMESPACE: Final = 400202
INVALID_CLIENT_ID: Final = 400203
NO_TOTALS: Final = 400204
INVALID_DURATION: Final = 400205
INVALID_SLIDE_COUNT: Final = 400206
INVALID_MODE: Final = 400207
NO_LABELS: Final = 400208
EMPTY_BATCH: Final = 400209
NO_USES: Final = 400211
INVALID_TIMESTAMP: Final = 400212
INVALID_CLIENT_KEY: Final = 400213
INVALID_COUNTER_KEY: Final = 400214
"""No key, or one that another node made; the stream ends after it."""
TOO_MANY_COUNTERS: Final = 401101
TOO_MANY_CLIENTS: Final = 401102
OTHER_CLIENT: Final = 401103
"""The stream belongs to another client."""
UNKNOWN_COUNTER: Final = 404001
UNKNOWN_CLIENT: Final = 404002
