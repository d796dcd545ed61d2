"""``nas features``, and what of a recording a search uses, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import yaml

from nas.cli import main
from nas.corpus import load

Nas = Callable[..., SimpleNamespace]


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Call the command in this process: importing torch anew takes seconds."""

    def call(*arguments: str | Path, code: int = 0) -> SimpleNamespace:
        monkeypatch.setattr("sys.argv", ["nas", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return SimpleNamespace(stdout=out, stderr=err)

    return call


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random wav2vec 2.0 of 2 layers and 8 dimensions at 50 Hz."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        conv_dim=(4, 4),
        conv_kernel=(20, 16),
        conv_stride=(20, 16),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four speakers, two labels, 16 recordings of 0.4 s."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = ["path,label,speaker"]
    for i in range(16):
        noise = 0.1 * np.random.default_rng(i).standard_normal(6400)
        soundfile.write(folder / f"{i}.wav", noise, 16_000)
        lines.append(f"{i}.wav,{'joy' if i % 2 else 'anger'},s{i // 4}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


def test_extract_list_and_remove(nas: Nas, corpus: Path, encoder: Path, cache: Path) -> None:
    given = ["features", "--data", corpus, "--encoder", encoder, "--layer", "1"]
    done = nas(*given, "--frame-rate", "25")
    assert f"{corpus.name}: 16 utterances, 160 frames of 8 at 25 Hz" in done.stdout
    assert "16 recordings of 6 s encoded in" in done.stdout
    assert "real-time factor" in done.stdout
    assert f"encoding 16 utterances with {encoder}, layer 1" in done.stderr
    again = nas(*given, "--frame-rate", "25")
    assert "nothing to encode" in again.stdout
    assert again.stderr == ""
    other = json.loads(nas(*given, "--batch-seconds", "4", "--json").stdout)
    assert other["encoded"] == 16
    assert other["frames"] == 16 * 5
    assert other["bytes"] == sum(p.stat().st_size for p in Path(other["folder"]).iterdir())
    listed = json.loads(nas("features", "--list", "--json").stdout)
    assert {(s["layer"], s["frame_rate"], s["frames"]) for s in listed} == {
        (1, 25.0, 160),
        (1, 12.5, 80),
    }
    assert {s["corpus"] for s in listed} == {corpus.name}
    table = nas("features", "--list").stdout
    assert other["key"][:12] in table
    assert "2 in " in table
    said = nas("features", "--remove", other["key"][:10]).stdout
    assert f"removed {other['key']}" in said
    assert not Path(other["folder"]).exists()
    assert nas("features", "--list", "-q").stdout.split() != []
    assert len(nas("features", "--list", "-q").stdout.split()) == 1


def test_what_cannot_be_removed(nas: Nas, corpus: Path, encoder: Path) -> None:
    said = nas("features", "--remove", "abc", code=2).stderr
    assert "no features 'abc' in the cache" in said
    said = nas("features", "--list", "--data", corpus, code=2).stderr
    assert "--list and --remove stand alone" in said


def test_unfinished_work_is_listed_and_can_be_removed(
    nas: Nas, corpus: Path, encoder: Path, cache: Path
) -> None:
    soundfile.write(corpus / "7.wav", np.zeros(6400), 16_000)
    said = nas("features", "--data", corpus, "--encoder", encoder, code=2).stderr
    assert f"{corpus / '7.wav'}: nothing but silence" in said
    assert "--skip-bad" in said
    (shelf,) = json.loads(nas("features", "--list", "--json").stdout)
    assert shelf["what"] == "unfinished"
    assert shelf["key"][:23] in nas("features", "--list").stdout
    nas("features", "--remove", shelf["key"][:23])
    assert nas("features", "--list", "-q").stdout == ""
    done = nas("features", "--data", corpus, "--encoder", encoder, "--skip-bad")
    assert "15 utterances" in done.stdout
    assert f"left out 1 file or row:\n  {corpus / '7.wav'}: nothing but silence" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--precision", "fp8"], "no precision 'fp8'"),
        (["--device", "tpu"], "no device 'tpu'"),
        (["--precision", "fp16", "--device", "cpu"], "fp16 needs a CUDA device"),
        (["--max-seconds", "0.01"], "give at least 0.025 s to keep"),
        (["--batch-seconds", "-1"], "batches of -1.0 s"),
        (["--frame-rate", "60"], "60 frames a second out of an encoder that gives 50"),
    ],
)
def test_impossible_settings(
    nas: Nas, options: list[str], told: str, corpus: Path, encoder: Path
) -> None:
    assert told in nas("features", "--data", corpus, "--encoder", encoder, *options, code=2).stderr


def test_a_search_keeps_what_it_used_of_the_recordings(
    nas: Nas, corpus: Path, encoder: Path, tmp_path: Path
) -> None:
    soundfile.write(corpus / "7.wav", np.zeros(6400), 16_000)
    space = tmp_path / "tiny.yaml"
    space.write_text(
        "name: tiny\nfamily: mean_pool\nparameters: {hidden: {choice: [0, 4]}}\n"
        "objectives: {ua: maximize}\ndata: {max_seconds: 0.2}\n"
    )
    run, best = tmp_path / "run", tmp_path / "best"
    given = ["--space", space, "--data", corpus, "--encoder", encoder, "--searcher", "random"]
    given += ["--frame-rate", "50", "--validation-folds", "1"]
    said = nas("search", *given, "--budget", "1", "--out", run, code=2).stderr
    assert "nothing but silence" in said
    nas("search", *given, "--budget", "1", "--skip-bad", "--out", run)
    kept = yaml.safe_load((run / "run.yaml").read_text())["evaluator"]
    assert kept["skip_bad"] is True
    assert kept["max_seconds"] == 0.2
    assert "precision" not in kept
    assert kept["source"]["utterances"] == 15
    assert [s["why"] for s in kept["source"]["skipped"]] == ["nothing but silence"]
    nas("search", "--resume", run, "--budget", "2")
    # what confirm and train load, from the records alone
    assert load(kept, print).digest == kept["digest"]
    nas("export", run, "--out", best)
    asked = json.loads((best / "config.json").read_text())["features"]
    assert load(asked, print).digest == kept["digest"]
    # the option outweighs the space
    other = [*given, "--skip-bad", "--max-seconds", "0.3", "--out", tmp_path / "other"]
    nas("search", *other, "--budget", "1")
    kept = yaml.safe_load((tmp_path / "other" / "run.yaml").read_text())["evaluator"]
    assert kept["max_seconds"] == 0.3


def test_an_evaluator_has_no_recordings_to_cut(nas: Nas, tmp_path: Path) -> None:
    space = tmp_path / "own.yaml"
    space.write_text(
        "name: own\nparameters: {x: {int: [1, 2]}}\nobjectives: {y: maximize}\n"
        "data: {max_seconds: 2}\n"
    )
    (tmp_path / "own.py").write_text(
        "def measure(architecture, fidelity, seed): return {'y': 1}\n"
    )
    said = nas(
        "search", "--space", space, "--evaluator", f"{tmp_path / 'own.py'}:measure", code=2
    ).stderr
    assert "the space's data.max_seconds and an evaluator exclude each other" in said
