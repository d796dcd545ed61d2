"""What Tune's thread tells the driver's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Up:
    """A worker has started.

    Args:
        node: Its address.
        nas: Version there.
        shared: Whether it sees the run's folder.
        error: Why it cannot load the evaluator; empty if it could.
    """

    node: str
    nas: str
    shared: bool
    error: str


@dataclass(frozen=True)
class Ask:
    """A worker is free."""


@dataclass(frozen=True)
class Done:
    """A worker has finished a job."""

    message: Any
    outcome: Any


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and its evaluation with it."""

    message: Any
    reason: str
    seconds: float


@dataclass(frozen=True)
class Ended:
    """Tune has stopped, which it never does by itself."""

    error: BaseException | None
