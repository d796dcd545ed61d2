"""What every time-to-first-spike network can do: fold, fit its windows, change its view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.ttfs.folding import fold_before
from search_spaces.ttfs.layers import B1Layer
from search_spaces.ttfs.signals import View, Window
from search_spaces.ttfs.views import ReLUView, TTFSView


@dataclass(frozen=True)
class Discretisation:
    """How a trained ReLU network becomes a discrete time-to-first-spike one.

    Args:
        steps: Clock steps of every window.
        margin: Length of a window over the largest activation in training data, less one.
            Below 0 the largest activations are cut off and the rest resolved more finely.
        finetune: Share of the epochs trained with rounding in the loop, at the end.
    """

    steps: int
    margin: float = 0.1
    finetune: float = 0.0


class TTFSNetwork(nn.Module):
    """A network of B1 neurons. Built in the ReLU view, in which it is trained.

    ``fold`` and ``fit_windows`` turn it into a spiking one, in place and for good; from then on
    ``view`` chooses what a forward pass computes.

    Args:
        discretisation: Of the network a device runs; None for one that stays a ReLU network.
    """

    def __init__(self, discretisation: Discretisation | None) -> None:
        super().__init__()
        self.discretisation = discretisation
        self.view: View = ReLUView()
        self.folded = False

    @property
    def latency_steps(self) -> int | None:
        """Clock steps from input to output, one layer after the other; None for a ReLU one."""
        d = self.discretisation
        return None if d is None else d.steps * self.windows_in_series()

    def windows_in_series(self) -> int:
        """Return how many windows lie between the input and the output."""
        raise NotImplementedError

    def fold(self) -> None:
        """Move every batch normalisation of spiking layers into weights; once."""
        if self.folded:
            return
        for module in self.modules():
            if isinstance(module, B1Layer):
                fold_before(module)
        self.folded = True

    @torch.no_grad()
    def fit_windows(self, batches: Iterable[tuple[Tensor, ...]], margin: float) -> None:
        """Set the length of every window from what its neurons do on training data.

        Call it again whenever weights have changed.

        Args:
            batches: Arguments of forward passes.
            margin: See :class:`Discretisation`.
        """
        windows = [m for m in self.modules() if isinstance(m, Window)]
        for window in windows:
            window.start()
        training = self.training
        self.eval()
        with self.viewed(ReLUView(observe=True)):
            for batch in batches:
                self(*batch)
        self.train(training)
        for window in windows:
            window.fit(margin)

    def spiking_view(self) -> TTFSView:
        """Return the view a device has: spike times in clock steps."""
        assert self.discretisation is not None
        return TTFSView(self.discretisation.steps)

    @contextmanager
    def viewed(self, view: View) -> Iterator[None]:
        """Take another view for a while."""
        before, self.view = self.view, view
        try:
            yield
        finally:
            self.view = before
