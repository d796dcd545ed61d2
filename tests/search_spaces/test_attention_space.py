"""The space over the attention kinds: every kind is there at a matched parameter count."""

from __future__ import annotations

from collections import defaultdict

import torch

from eval.evaluate import count_parameters
from search_spaces.attention import KINDS
from search_spaces.families import ATTENTION_KINDS, get_family
from search_spaces.schema import load_space


def test_the_family_names_the_kinds_that_can_be_built() -> None:
    """The family table is read without torch, so it has a list of its own."""
    assert ATTENTION_KINDS == KINDS


def test_every_kind_causal_or_not_has_a_width_within_the_bounds() -> None:
    """384 inputs and 3 classes: the bundled corpus. The counts then differ by 7 % at most."""
    space = load_space("attention")
    family = get_family(space.family)
    [bounds] = space.constraints
    assert bounds.min is not None
    assert bounds.max is not None
    assert bounds.max / bounds.min < 1.075
    found: dict[tuple[object, object], list[int]] = defaultdict(list)
    for a in space.enumerate():
        with torch.device("meta"):
            size = count_parameters(family.build(a, 384, 3))
        if bounds.violation(size) == 0:
            found[a["attention.kind"], a.get("attention.causal")].append(size)
    every = {(kind, causal) for kind in KINDS[1:] for causal in (False, True)}
    assert set(found) == every | {("none", None)}
