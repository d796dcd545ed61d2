"""Reach into a transformers speech encoder: one layer's hidden state, of a clip of any length."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def is_whisper(network: Any) -> bool:
    """Whether a module is built like Whisper's encoder: mel frames in, a table of positions."""
    return hasattr(network, "embed_positions") and hasattr(network, "conv2")


@contextlib.contextmanager
def unpadded(encoder: Any, positions: int) -> Iterator[None]:
    """Let Whisper's encoder take ``2 * positions`` mel frames instead of 30 s of them.

    It adds its whole table of positions and refuses any other length. With the head of the
    table it computes the same function on a clip without the padding, at a fraction of the
    cost. Table and length are put back afterwards, also after an error.

    Args:
        encoder: A ``WhisperEncoder``.
        positions: Frames that will come out.
    """
    from torch import nn

    table, most = encoder.embed_positions, encoder.config.max_source_positions
    encoder.embed_positions = nn.Embedding(
        positions, table.embedding_dim, _weight=table.weight[:positions]
    )
    encoder.config.max_source_positions = positions
    try:
        yield
    finally:
        encoder.embed_positions = table
        encoder.config.max_source_positions = most


@contextlib.contextmanager
def masked(encoder: Any, mask: Tensor) -> Iterator[None]:
    """Let the attention of Whisper's encoder see real frames only.

    Its layers take a mask, but the encoder has none to give them: it was trained on 30 s,
    silence and all. With the mask each of a batch gives what it gives alone.

    Args:
        encoder: A ``WhisperEncoder``.
        mask: ``[B, L]``, true where a frame is real.
    """
    import torch

    least = torch.finfo(encoder.dtype).min
    added = torch.zeros(mask.shape, dtype=encoder.dtype, device=mask.device)
    added = added.masked_fill(~mask, least)[:, None, None, :]  # [B, heads, query, key]

    def give(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[:1], {**kwargs, "attention_mask": added}

    hooks = [x.register_forward_pre_hook(give, with_kwargs=True) for x in encoder.layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def padded_with_zeros(encoder: Any, mask: Tensor) -> Iterator[None]:
    """Keep what is not real out of convolutions that follow each other.

    data2vec-audio finds positions by several convolutions in a row. Alone, each pads a clip
    with zeros; in a batch only the first would, and the next would reach into its answer to
    the padding.

    Args:
        encoder: With ``pos_conv_embed``; only one of several ``layers`` needs help.
        mask: ``[B, L]``, true where a frame is real.
    """

    def clean(_module: Any, _args: Any, output: Tensor) -> Tensor:
        return output * mask[:, None, :]  # [B, D, L]

    layers = getattr(encoder.pos_conv_embed, "layers", ())
    hooks = [x.register_forward_hook(clean) for x in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Reached(Exception):
    """Carries the hidden state out of the middle of a network."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def hidden_state(run: Callable[[], object], encoder: Any, layer: int) -> Tensor:
    """Run a network until a hidden state is known, and no further.

    Asking transformers for all hidden states would run the layers above as well: time, and
    operations that a device with the head would never spend.

    Args:
        run: Calls the network.
        encoder: The part of it that holds ``layers``.
        layer: The layer whose input is wanted; ``len(layers)`` for the encoder's output.

    Returns:
        ``[B, L, D]``.
    """

    def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    def after(_module: Any, _args: Any, output: Any) -> None:
        raise _Reached(output.last_hidden_state)

    if layer < len(encoder.layers):
        hook = encoder.layers[layer].register_forward_pre_hook(before, with_kwargs=True)
    else:
        hook = encoder.register_forward_hook(after)
    try:
        run()
    except _Reached as reached:
        return reached.hidden
    finally:
        hook.remove()
    raise RuntimeError(f"the network never came to layer {layer}")
