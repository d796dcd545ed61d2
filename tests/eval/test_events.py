from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.events import Events, accumulate, read_events
from search_spaces.errors import NasError

QUICK = settings(max_examples=100, deadline=None, derandomize=True)

# five events on a sensor of 4x2
T, X, Y, P = [5, 7, 7, 40, 105], [0, 3, 1, 2, 3], [0, 1, 1, 0, 1], [1, 0, 1, 1, 0]

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write the five events as `.npz`, with fields changed, added, or (None) left out."""

    def write(**changes: Any) -> Path:
        arrays = {"t": T, "x": X, "y": Y, "p": P, "width": 4, "height": 2, **changes}
        path = tmp_path / "events.npz"
        np.savez(path, **{k: np.asarray(v) for k, v in arrays.items() if v is not None})
        return path

    return write


def table(p: Any = P, dtype: Any = "u1") -> np.ndarray:
    fields = [("p", dtype), ("x", "u2"), ("t", "i8"), ("y", "u2")]  # any order
    return np.array(list(zip(p, X, T, Y, strict=True)), dtype=fields)


def same(events: Events) -> bool:
    return all(
        column.tolist() == wanted
        for column, wanted in zip(
            (events.t, events.x, events.y, events.p), (T, X, Y, P), strict=True
        )
    )


def test_a_file_of_four_arrays(save: Save) -> None:
    events = read_events(save())
    assert same(events)
    assert (events.width, events.height, len(events)) == (4, 2, 5)
    assert events.duration == pytest.approx(100e-6)
    assert (events.t.dtype, events.p.dtype) == (np.int64, np.uint8)


@pytest.mark.parametrize(
    "p",
    [[True, False, True, True, False], [1, -1, 1, 1, -1], [1.0, 0.0, 1.0, 1.0, 0.0]],
    ids=["bool", "signed", "float"],
)
def test_polarity_comes_in_several_ways(p: list[Any], save: Save) -> None:
    assert same(read_events(save(p=p)))


def test_structured_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", table())
    np.savez(tmp_path / "b.npz", events=table([1, -1, 1, 1, -1], "i1"))
    np.savez(tmp_path / "c.npz", anything=table(), width=4, height=2)
    assert same(read_events(tmp_path / "a.npy", (4, 2)))
    assert same(read_events(tmp_path / "b.npz", (4, 2)))
    assert same(read_events(tmp_path / "c.npz"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"p": None}, "no field 'p'; it has 't', 'x', 'y', 'width', 'height'"),
        ({"x": [0, 1]}, "fields of different lengths: t 5, x 2, y 5, p 5"),
        ({"t": [], "x": [], "y": [], "p": []}, "not whole numbers"),
        ({k: np.zeros(0, "i8") for k in "txyp"}, "there is no event in it"),
        ({"t": [5, 7, 6, 40, 105]}, "time goes back at event 2: 6 µs after 7 µs"),
        ({"t": [-3, 7, 7, 40, 105]}, "event 0 is at -3 µs"),
        ({"t": [0.0, 0.1, 0.2, 0.3, 0.4]}, "t holds float64, not whole numbers (seconds"),
        ({"t": [0.0, np.nan, 0.2, 0.3, 0.4]}, "t of event 1 is NaN"),
        ({"x": [0, 3, 1, 4, 9]}, "event 3 at x 4, y 0 lies outside the sensor of 4x2 (2 of 5"),
        ({"x": [0, 3, 1, -1, 3]}, "event 3 at x -1"),
        ({"y": [0, 1, 2, 0, 1]}, "event 2 at x 1, y 2 lies outside"),
        ({"p": [0, 1, 2, 0, 1]}, "polarities 0, 1, 2"),
        ({"p": [0, 1, -1, 0, 1]}, "polarities -1, 0, 1"),
        ({"p": [1, 0, np.nan, 0, 1]}, "p of event 2 is NaN"),
        ({"p": ["a", "b", "c", "d", "e"]}, "polarities <U1"),
        ({"x": [[0, 3, 1, 2, 3]]}, "x has the shape [1, 5]"),
        ({"x": np.array(X, dtype=object)}, "holds Python objects"),
        ({"width": None, "height": None}, "the size of the sensor is not known"),
        ({"width": None}, "it says its height only"),
        ({"width": 0}, "width is not a whole number"),
        ({"width": 4.5}, "width is not a whole number"),
        ({"t": np.array([1, 2, 3, 4, 2**64 - 1], "u8")}, "too large a number"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], what: str, save: Save) -> None:
    path = save(**changes)
    with pytest.raises(NasError) as caught:
        read_events(path)
    assert caught.value.where == str(path)
    assert what in caught.value.what


def test_the_sensor_is_given_or_agrees(save: Save) -> None:
    path = save(width=None, height=None)
    assert read_events(path, (6, 3)).width == 6
    with pytest.raises(NasError, match="lies outside the sensor of 3x2"):
        read_events(path, (3, 2))
    with pytest.raises(NasError, match=r"a sensor of 4x2; events\.yaml says 5x2"):
        read_events(save(), (5, 2))
    assert same(read_events(save(), (4, 2)))


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_rubbish_and_half_a_file(name: str, tmp_path: Path, save: Save) -> None:
    path = tmp_path / name
    for content in (b"", b"rubbish", save().read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(NasError, match=r"cannot read the events|holds Python objects"):
            read_events(path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path / "sprung").touch, ()

    path = tmp_path / "trap.npy"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(NasError, match="Python objects"):
        read_events(path)
    assert not (tmp_path / "sprung").exists()


def test_a_table_is_no_list_of_events(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.zeros((3, 4)))
    with pytest.raises(NasError, match="no field 't'; it has none"):
        read_events(tmp_path / "plain.npy", (4, 2))


def test_counting_by_hand(save: Save) -> None:
    # from t = 5: frames of 50 µs are [5, 55), [55, 105), [105, 155)
    counts = accumulate(read_events(save()), 50e-6, 2, 4)
    expected = np.zeros((3, 2, 2, 4))
    for k, p, y, x in [(0, 1, 0, 0), (0, 0, 1, 3), (0, 1, 1, 1), (0, 1, 0, 2), (2, 0, 1, 3)]:
        expected[k, p, y, x] += 1
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == np.float32
    # binned to 1 row and 2 columns: columns 0, 1 -> 0 and 2, 3 -> 1
    small = accumulate(read_events(save()), 50e-6, 1, 2)
    np.testing.assert_array_equal(small[0], [[[0, 1]], [[2, 1]]])
    np.testing.assert_array_equal(small[2], [[[0, 1]], [[0, 0]]])


def test_frames_that_were_asked_for(save: Save) -> None:
    events = read_events(save())
    every = accumulate(events, 50e-6, 2, 4)
    asked = accumulate(events, 50e-6, 2, 4, np.array([2, 9, 0, 2]))
    np.testing.assert_array_equal(asked, [every[2], 0 * every[0], every[0], every[2]])


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 9), st.integers(0, 6), st.integers(0, 1)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(1e-3, 2.0),
)
def test_no_event_is_lost(
    drawn: list[tuple[int, int, int, int]], height: int, width: int, seconds: float
) -> None:
    t, x, y, p = (np.array(c) for c in zip(*sorted(drawn), strict=True))
    events = Events(t, x, y, p.astype(np.uint8), 10, 7)
    counts = accumulate(events, seconds, height, width)
    assert counts.sum() == len(events)
    np.testing.assert_array_equal(counts.sum(axis=(0, 2, 3)), np.bincount(p, minlength=2))
    assert counts[0].sum() >= 1  # frames begin with the first event
    assert counts[-1].sum() >= 1  # and end with the last
    for k in (0, len(counts) - 1):
        np.testing.assert_array_equal(
            accumulate(events, seconds, height, width, np.array([k]))[0], counts[k]
        )
