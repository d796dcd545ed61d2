"""The conversion of the bundled encoder, against plain torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from eval.ct2 import convert_whisper, read_ct2

from .plain_whisper import DIM, PlainWhisper, mel_of, noise, whisper_arrays, write_ct2


def test_ct2_round_trip() -> None:
    arrays = whisper_arrays()
    read = read_ct2(write_ct2(arrays))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_ct2_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="is not"):
        read_ct2(write_ct2(whisper_arrays(), version=5))
    with pytest.raises(ValueError, match="left over"):
        read_ct2(write_ct2(whisper_arrays()) + b"\0")


def test_no_weight_may_be_left_over_or_missing(tmp_path: Path) -> None:
    arrays = whisper_arrays()
    extra = {**arrays, "encoder/layer_0/extra/weight": np.zeros((2, 2), np.float16)}
    with pytest.raises(ValueError, match="has no place"):
        convert_whisper(write_ct2(extra), tmp_path)
    del arrays["decoder/layer_1/attention/linear_2/bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*encoder_attn\.out_proj\.bias"):
        convert_whisper(write_ct2(arrays), tmp_path)
    biased = whisper_arrays()
    biased["encoder/layer_0/self_attention/linear_0/bias"][DIM] = 1
    with pytest.raises(ValueError, match="bias of the keys"):
        convert_whisper(write_ct2(biased), tmp_path)


def test_converted_whisper_computes_what_the_plain_one_does(whisper_folder: Path) -> None:
    model, loading = WhisperForConditionalGeneration.from_pretrained(
        whisper_folder, output_loading_info=True
    )
    assert not any(loading.values())
    mel = mel_of(whisper_folder, noise(3.0))
    plain = PlainWhisper(whisper_arrays())
    encoded = plain.encode(mel[0])[-1]
    tokens = [50257, 3, 1, 4]
    with torch.no_grad():
        out = model(input_features=mel, decoder_input_ids=torch.tensor([tokens]))
    torch.testing.assert_close(out.encoder_last_hidden_state[0], encoded, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.logits[0], plain.decode(tokens, encoded), atol=1e-4, rtol=1e-4)
