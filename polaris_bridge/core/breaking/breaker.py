"""The state machine of one resource under one rule: closed, open, half-open, closed again. Time is an argument.

Calls stop when enough voices object (``Quorum``): callers by their own counters, or the server's own probe, which is believed
alone. Nobody's calls add to anybody else's, so one caller cannot stop the others' calls, however much it tells. When calls are
tried again the same number of voices is needed to stop them, and one voice that finds as many calls well as the rule says, none
failing in between, to let all of them go; where probes are made only they decide, for no caller calls meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from .model import CLOSED, HALF_OPEN, INSTANCE, OPEN, Told
from .rules import ReadyRule
from .voices import Voice

PROBE: Final = ""
"""The voice of the server's own probes. No caller has an empty name."""
MOST_VOICES: Final = 64
"""Callers that are counted for a resource. One more takes the place of who has been silent for as long as an objection stands;
while there is none it is not counted, so that many callers do not push each other out before any has told enough."""


class Breaker:
    """One resource under one rule."""

    __slots__ = (
        "_closed_ms",
        "_needed",
        "_slept_ms",
        "opened_ms",
        "ready",
        "since_ms",
        "state",
        "times",
        "until_ms",
        "voices",
        "why",
    )

    def __init__(self, ready: ReadyRule, needed: int, now_ms: int) -> None:
        """``needed``: how many callers have to object."""
        self.ready = ready
        self.state = CLOSED
        self.since_ms = now_ms
        self.opened_ms = 0
        """When it opened, and was not closed since."""
        self.until_ms = 0
        """While it is open: when calls are tried again."""
        self.times = 0
        """How often in a row it opened before."""
        self.why = ""
        """Why it opened."""
        self.voices: OrderedDict[str, Voice] = OrderedDict()
        self._needed = needed
        self._closed_ms = 0
        self._slept_ms = 0

    @property
    def stops(self) -> bool:
        """Whether nobody should call: it is open, or only probes find out whether calls go well again."""
        return self.state == OPEN or (self.state == HALF_OPEN and PROBE in self.voices)

    def tell(self, told: Told, now_ms: int, *, admit: bool = True) -> tuple[int, int]:
        """Calls were made; how many of them went well, and failed, by this rule. ``admit``: whether a new voice is heard."""
        self.pass_time(now_ms)
        judged = self.ready.judged(told)
        counts = [each for each in judged if each is not None]
        failed = max((each[1] for each in counts), default=0)
        well = told.calls.well + told.calls.failed - failed
        voice = self._voice(told.voice, now_ms, admit)
        if voice is None:
            return well, failed
        voice.calls += well + failed
        voice.errors += failed
        voice.failing = failed > 0
        if self.state == CLOSED:
            voice.count(judged, now_ms, self.ready.stands_ms)
            if self._condemned(now_ms):
                self._open(now_ms)
        elif self.state == HALF_OPEN:
            self._try(voice, well, failed, now_ms)
        return well, failed

    def pass_time(self, now_ms: int) -> None:
        """Calls are tried again when they have stopped for long enough."""
        if self.state == OPEN and now_ms >= self.until_ms:
            self._become(HALF_OPEN, now_ms)
            self._begin_anew()

    def close(self, now_ms: int) -> None:
        """All calls go again, whoever says so."""
        if self.state != CLOSED:
            self._closed_ms = now_ms
            self._become(CLOSED, now_ms)
            self._begin_anew()

    def unprobed(self) -> None:
        """No probe is made any more."""
        self.voices.pop(PROBE, None)

    # ------------------------------------------------------------------ pieces

    def _voice(self, name: str, now_ms: int, admit: bool) -> Voice | None:
        voice = self.voices.get(name)
        if voice is None:
            if name != PROBE and not (admit and self._room(now_ms)):
                return None
            voice = self.voices[name] = Voice(self.ready.triggers)
        elif name != PROBE:
            self.voices.move_to_end(name)
        voice.heard_ms = now_ms
        return voice

    def _room(self, now_ms: int) -> bool:
        """Whether one more caller can be heard; who has been silent for long makes room."""
        if len(self.voices) < MOST_VOICES:
            return True
        quietest = next(each for each in self.voices if each != PROBE)
        if now_ms - self.voices[quietest].heard_ms < self.ready.stands_ms:
            return False
        del self.voices[quietest]
        return True

    def _condemned(self, now_ms: int) -> bool:
        objecting = [name for name, voice in self.voices.items() if voice.objects(now_ms)]
        if PROBE in objecting:
            self.why = f"probes: {self.voices[PROBE].why}"
            return True
        probe = self.voices.get(PROBE)
        seconded = probe is not None and probe.failing
        if not objecting or len(objecting) + seconded < self._needed:
            return False
        last = self.voices[objecting[-1]]
        self.why = f"{len(objecting)} callers{' and a probe' if seconded else ''}: {last.why}"
        return True

    def _try(self, voice: Voice, well: int, failed: int, now_ms: int) -> None:
        """A call while calls are tried."""
        voice.passed = 0 if failed else voice.passed + well
        if failed and self._failed_again():
            self._open(now_ms)
        elif voice.passed >= max(1, self.ready.rule.successes) and self._decides(voice):
            self.close(now_ms)

    def _failed_again(self) -> bool:
        probe = self.voices.get(PROBE)
        if probe is not None and probe.failing:
            self.why = "a probe failed again"
            return True
        failing = sum(voice.failing for voice in self.voices.values())
        if failing < self._needed:
            return False
        self.why = f"calls of {failing} callers failed again"
        return True

    def _decides(self, voice: Voice) -> bool:
        probe = self.voices.get(PROBE)
        return probe is None or probe is voice

    def _open(self, now_ms: int) -> None:
        ready = self.ready
        if self.state == CLOSED:
            self.opened_ms = now_ms
        again = self.state == HALF_OPEN or now_ms - self._closed_ms < self._slept_ms
        self.times = self.times + 1 if again and self._slept_ms and ready.rule.level == INSTANCE else 0
        self._slept_ms = ready.sleep_ms(self.times)
        self.until_ms = now_ms + self._slept_ms
        ready.opened += 1
        self._become(OPEN, now_ms)

    def _become(self, state: str, now_ms: int) -> None:
        self.state, self.since_ms = state, now_ms

    def _begin_anew(self) -> None:
        """What was counted before says nothing about what comes."""
        for name, voice in list(self.voices.items()):
            fresh = Voice(self.ready.triggers)
            fresh.calls, fresh.errors, fresh.heard_ms = voice.calls, voice.errors, voice.heard_ms
            self.voices[name] = fresh
