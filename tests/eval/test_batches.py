"""Batches of an epoch: everyone once, like lengths together, and others meet every time."""

from __future__ import annotations

import numpy as np
import pytest

from eval.batches import shuffled
from eval.training import Recipe

SIZE = 8
LENGTHS = np.random.default_rng(0).gamma(2.0, 20.0, 640).astype(np.int64) + 1
INDICES = np.arange(1000, 1640)


def epoch(seed: int, bucket: int, count: int = 640) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(shuffled(INDICES[:count], SIZE, rng, LENGTHS[:count], bucket))


def padded(batches: list[np.ndarray]) -> float:
    """Frames that a padded epoch holds, for each that is real."""
    lengths = [LENGTHS[batch - 1000] for batch in batches]
    return sum(len(n) * n.max() for n in lengths) / sum(n.sum() for n in lengths)


@pytest.mark.parametrize("count", [1, 2, 9, 17, 64, 65, 297, 640])
@pytest.mark.parametrize("bucket", [1, 8])
def test_every_utterance_comes_once_and_none_comes_alone(count: int, bucket: int) -> None:
    for seed in range(5):
        batches = epoch(seed, bucket, count)
        assert sorted(np.concatenate(batches)) == INDICES[:count].tolist()
        assert all(1 < len(batch) <= SIZE + 1 for batch in batches) or count == 1


def test_like_lengths_come_together() -> None:
    assert padded(epoch(0, 1)) > 1.6
    assert padded(epoch(0, 8)) < 1.3


def test_other_utterances_meet_in_every_epoch_and_long_ones_come_at_any_time() -> None:
    def company(batches: list[np.ndarray]) -> set[int]:
        return next(set(batch.tolist()) for batch in batches if 1000 in batch)

    met = [company(epoch(seed, 8)) for seed in range(20)]
    assert len(set.union(*met)) > 60
    longest = int(INDICES[LENGTHS.argmax()])
    places = {next(i for i, b in enumerate(epoch(s, 8)) if longest in b) for s in range(20)}
    assert min(places) < 16
    assert max(places) > 64


def test_of_a_small_corpus_nothing_is_drawn_together() -> None:
    # all of an epoch in one bucket would make the same batches in every one, but for ties
    count = 15 * SIZE
    order = np.random.default_rng(1).permutation(INDICES[:count])
    assert np.concatenate(epoch(1, 64, count)).tolist() == order.tolist()
    assert np.concatenate(epoch(1, 64, count + SIZE)).tolist() != order.tolist()


def test_without_lengths_the_order_is_that_of_the_generator_alone() -> None:
    order = np.random.default_rng(3).permutation(INDICES)
    batches = list(shuffled(INDICES, SIZE, np.random.default_rng(3)))
    assert np.concatenate(batches).tolist() == order.tolist()
    assert np.concatenate(epoch(3, 1)).tolist() == order.tolist()


def test_a_recipe_of_before_mixed_all_lengths() -> None:
    recorded = {k: v for k, v in Recipe().as_dict().items() if k not in ("bucket", "dtype")}
    assert Recipe.of(recorded) == Recipe(bucket=1, dtype="float32")
    assert Recipe.of(Recipe(bucket=4, dtype="bfloat16").as_dict()).bucket == 4
