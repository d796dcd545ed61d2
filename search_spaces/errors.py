"""The one error a person sees: what happened, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(Exception):
    """A mistake a person can mend: bad input, a missing file, a clash.

    The command line prints it without a traceback and exits with 2.

    Args:
        what: What is wrong, in one sentence.
        where: ``file:line:key`` or a path.
        hint: What to do next.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(self.__str__())

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when the error crosses a process border."""
        return _rebuild, (type(self), self.what, self.where, self.hint)


def _rebuild(kind: type[NasError], what: str, where: str | None, hint: str | None) -> NasError:
    return kind(what, where=where, hint=hint)


def nearest(name: object, valid: Iterable[object]) -> str:
    """Say which of ``valid`` a person may have meant by ``name``.

    Returns:
        ``"did you mean 'x'? valid: 'a', 'b', 'x'"``; the guess is left out when none is near.
    """
    names = [str(v) for v in valid]
    listed = ", ".join(repr(n) for n in names) or "none"
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? valid: {listed}" if close else f"valid: {listed}"
