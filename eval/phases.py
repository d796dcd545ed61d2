"""Seconds of the phases of an evaluation, by timers that cost next to nothing while nobody asks.

What belongs to a phase runs inside ``with`` of its `Phase`; who wants seconds evaluates inside
``with measuring() as seconds``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar


class _Clock:
    """Adds up seconds by phase; of phases within each other, each has its own time only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within: list[str] = []
        self._since = 0.0

    def enter(self, name: str) -> None:
        self._pass()
        self._within.append(name)

    def leave(self) -> None:
        self._pass()
        self._within.pop()

    def _pass(self) -> None:
        now = time.perf_counter()
        if self._within:
            name = self._within[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


# of each thread its own: what another one does at the same time is no part of a measurement
_clock: ContextVar[_Clock | None] = ContextVar("phases", default=None)


class Phase:
    """A part of an evaluation: what runs inside ``with`` counts as it while that is measured.

    One object serves for every time and every thread.

    Args:
        name: By which it is told.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        clock = _clock.get()
        if clock is not None:
            clock.enter(self.name)

    def __exit__(self, *error: object) -> None:
        clock = _clock.get()
        if clock is not None:
            clock.leave()


@contextmanager
def measuring() -> Iterator[Mapping[str, float]]:
    """Measure what this thread does inside; begin it outside of every phase.

    Yields:
        Seconds by the name of the phase, as they add up. A phase that did not come is not in it.
    """
    clock = _Clock()
    token = _clock.set(clock)
    try:
        yield clock.seconds
    finally:
        _clock.reset(token)
