from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from eval.recall import from_confusion, recall


@st.composite
def predictions(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """True and predicted classes out of a list of which some may be absent."""
    n_classes = draw(st.integers(1, 6))
    one = st.integers(0, n_classes - 1)
    pairs = draw(st.lists(st.tuples(one, one), min_size=1, max_size=30))
    return [t for t, _ in pairs], [p for _, p in pairs], n_classes


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(predictions())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_figure_is_that_of_scikit_learn_over_the_whole_class_list(drawn):
    true, predicted, n = drawn
    r, labels = recall(true, predicted, n), list(range(n))
    macro = {"labels": labels, "average": "macro", "zero_division": 0}
    assert r.wa == pytest.approx(accuracy_score(true, predicted))
    assert r.ua == pytest.approx(recall_score(true, predicted, **macro))
    assert r.macro_f1 == pytest.approx(f1_score(true, predicted, **macro))
    assert r.confusion.tolist() == confusion_matrix(true, predicted, labels=labels).tolist()


def test_figures_by_hand():
    """Class 0: 3 of 4 found; class 1: 0 of 1; class 2 has no utterance but is predicted once.

    WA 3/5. UA (3/4 + 0 + 0) / 3 = 1/4. F1 of class 0: 2*3 / (4 + 4) = 3/4; macro 1/4.
    """
    r = recall([0, 0, 0, 0, 1], [0, 0, 0, 2, 0], 3)
    assert (r.wa, r.ua, r.macro_f1) == (3 / 5, 1 / 4, 1 / 4)
    assert r.confusion.tolist() == [[3, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_folds_pool_by_adding_their_confusions():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(4, size=(2, 50))
    parts = [recall(true[s], predicted[s], 4).confusion for s in (slice(20), slice(20, 50))]
    pooled, whole = from_confusion(sum(parts)), recall(true, predicted, 4)
    assert (pooled.wa, pooled.ua, pooled.macro_f1) == (whole.wa, whole.ua, whole.macro_f1)


@pytest.mark.parametrize(
    ("true", "predicted"), [([], []), ([0, 1], [0]), ([[0, 1]], [[0, 1]]), ([0], [])]
)
def test_empty_or_unequal_lists_are_refused(true, predicted):
    with pytest.raises(ValueError, match="two equal, non-empty lists"):
        recall(true, predicted, 2)


@pytest.mark.parametrize(("true", "predicted"), [(0, 2), (1, 2), (2, 0), (0, -1), (1, -1)])
def test_a_class_outside_the_list_is_refused_and_never_counted_as_another(true, predicted):
    with pytest.raises(ValueError):  # noqa: PT011
        recall([0, true], [0, predicted], 2)
