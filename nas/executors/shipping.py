"""What travels to workers, once per node: the evaluator, and the files of a job where need be."""

from __future__ import annotations

import mmap
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nas.evaluation import Job
from nas.evaluators import FunctionEvaluator, load_function
from search_spaces.errors import NasError


@dataclass(frozen=True)
class ShippedFunction:
    """A person's function on its way.

    Args:
        reference: ``file.py:function`` or ``package.module:function``, or ``<name>``.
        digest: SHA-256 of its source file.
        pickled: The function by value, for where its file is not; None where it cannot be.
    """

    reference: str
    digest: str | None
    pickled: bytes | None

    def unpack(self) -> FunctionEvaluator:
        """Load the function from its own source if it is here, else from what was sent.

        Raises:
            NasError: It is not here and could not be sent, or another version is here.
        """
        place = self.reference.rpartition(":")[0]
        if place.endswith(".py"):
            if Path(place).is_file():
                here = load_function(self.reference)
                if here.describe()["sha256"] == self.digest or self.pickled is None:
                    return self._same(here)
            elif self.pickled is None:
                raise NasError(
                    "the evaluator's file is not here, and its function cannot be sent",
                    where=place,
                    hint="put the file in the same place on every node",
                )
        elif not place.startswith("<") and self.reference[:1] != "<":
            return self._same(load_function(self.reference))
        assert self.pickled is not None
        return FunctionEvaluator(pickle.loads(self.pickled), self.reference)

    def _same(self, here: FunctionEvaluator) -> FunctionEvaluator:
        if here.describe()["sha256"] != self.digest:
            raise NasError(
                "another version of the evaluator is here than on the driver's machine",
                where=self.reference,
                hint="bring every node to the same version",
            )
        return here


def pack(evaluator: Any) -> Any:
    """Return an evaluator in a form that can be sent.

    Raises:
        NasError: It holds something that cannot.
    """
    from ray import cloudpickle

    if not isinstance(evaluator, FunctionEvaluator):
        return evaluator
    described = evaluator.describe()
    by_reference = not evaluator.reference.startswith("<")
    own = sys.modules.get(getattr(evaluator.function, "__module__", ""))
    sent: bytes | None = None
    if not by_reference or evaluator.reference.rpartition(":")[0].endswith(".py"):
        try:
            with _by_value(own if by_reference else None):
                sent = cloudpickle.dumps(evaluator.function)
        except Exception as error:  # whatever a person's objects raise when they are pickled
            if not by_reference:
                raise NasError(
                    f"the evaluator cannot be sent to workers: {error}",
                    where=evaluator.reference,
                    hint="give it as file.py:function, or keep open files and locks out of it",
                ) from None
    return ShippedFunction(evaluator.reference, described["sha256"], sent)


def unpack(packed: Any) -> Any:
    """Return the evaluator that :func:`pack` was given."""
    return packed.unpack() if isinstance(packed, ShippedFunction) else packed


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """Let what is defined in a file, or beside it, be pickled with its code."""
    from ray import cloudpickle

    source = getattr(module, "__file__", None)
    if source is None:
        yield
        return
    folder = Path(source).parent
    modules = [
        m
        for m in list(sys.modules.values())
        if (f := getattr(m, "__file__", None)) and Path(f).parent == folder
    ]
    for m in modules:
        cloudpickle.register_pickle_by_value(m)
    try:
        yield
    finally:
        for m in modules:
            cloudpickle.unregister_pickle_by_value(m)


# -- files of a job, where workers do not see the run's folder -----------------------------------


def state_of(job: Job) -> Any:
    """Return a reference to the training state that a job goes on from; None without one."""
    import ray

    if not job.paid or job.partial is None or not job.partial.is_file():
        return None
    return ray.put(job.partial.read_bytes())


def keep_files(job: Job, files: dict[str, bytes]) -> None:
    """Write the files that came back with an evaluation, whole or not at all; let go of them."""
    for role, path in (("checkpoint", job.checkpoint), ("partial", job.partial)):
        content = files.pop(role, None)
        if content is None or path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        temporary.write_bytes(content)
        temporary.replace(path)


# -- memory maps ----------------------------------------------------------------------------------

Mapped = tuple[str, str, int, tuple[int, ...]]


def map_files_here(same_machine: bool) -> None:
    """Tell Ray how memory-mapped arrays travel.

    Args:
        same_machine: Every worker maps the driver's file itself, and nothing is copied.
            Otherwise the array goes to the object store, from where the workers of a node
            share one read-only copy.
    """
    from ray.util import register_serializer

    serializer = _file_of if same_machine else _array_of
    register_serializer(np.memmap, serializer=serializer, deserializer=_opened)


def _file_of(array: np.memmap[Any, Any]) -> Mapped | np.ndarray[Any, Any]:
    # Of a slice, numpy keeps the offset of the whole: only a whole one can be opened again.
    whole: object = array.base
    if array.filename is None or not isinstance(whole, mmap.mmap):
        return _array_of(array)
    return str(array.filename), array.dtype.str, array.offset, array.shape


def _array_of(array: np.memmap[Any, Any]) -> np.ndarray[Any, Any]:
    return array.view(np.ndarray)


def _opened(sent: Mapped | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if isinstance(sent, np.ndarray):
        return sent
    name, dtype, offset, shape = sent
    return np.memmap(name, dtype=dtype, mode="r", offset=offset, shape=shape)
