"""Find a frozen speech encoder, by name or folder, without loading its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.ct2 import WHISPER_TINY, WHISPER_TINY_SHA256, prepare_whisper_tiny, without_bars
from eval.file_digests import file_digest
from eval.packages import Say, silent
from search_spaces.errors import NasError, nearest

WHISPER_TINY_LAYERS = 4
COCHLEA = "cochlea"  # what ``--encoder`` takes for no network: eval.cochlea_features
NAMES = (WHISPER_TINY, COCHLEA)

# What determines an encoder's output.
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")
_HUB_HINT = "with no network, give a local folder that save_pretrained wrote"
_LOCAL_HINT = "the folder must be one that save_pretrained wrote, with its feature extractor"

_EMOTION2VEC = "emotion2vec"


@dataclass(frozen=True)
class EncoderSource:
    """An encoder that was found, but whose weights are not loaded yet.

    Args:
        name: As a person names it.
        location: What transformers loads: an absolute path or a name on the hub.
        revision: SHA-256 of the weights as they were published (bundled), SHA-256 of a folder's
            settings and weights, or the commit on the hub.
        n_layers: Number of transformer layers.
    """

    name: str
    location: str
    revision: str
    n_layers: int

    @property
    def default_layer(self) -> int:
        """The layer to read when nobody says: the middle one.

        Emotion is told best neither by the first layers (sound) nor by the last (words). For
        the bundled Whisper layer 2 of 4 also measured best.
        """
        return self.n_layers // 2

    def checked_layer(self, layer: int | None) -> int:
        """Return ``layer``, or the default for None.

        Raises:
            NasError: The encoder has no such layer.
        """
        if layer is None:
            return self.default_layer
        if not 0 <= layer <= self.n_layers:
            raise NasError(
                f"encoder {self.name} has no layer {layer}",
                hint=f"0 (its input) to {self.n_layers} (its output)",
            )
        return layer


def find_encoder(name: str | Path | None = None, say: Say = silent) -> EncoderSource:
    """Find an encoder without loading its weights.

    Args:
        name: None for the bundled Whisper tiny.en; a folder; or ``owner/model`` on the hub.
        say: Told what is fetched.

    Raises:
        NasError: No such encoder, or no network to get it.
    """
    if name is None or name == WHISPER_TINY:
        folder = prepare_whisper_tiny(say)
        return EncoderSource(WHISPER_TINY, str(folder), WHISPER_TINY_SHA256, WHISPER_TINY_LAYERS)
    if name == COCHLEA:
        raise NasError(
            f"encoder {COCHLEA!r} is a computation without weights; here a network is needed",
            hint=f"give {WHISPER_TINY!r}; or a folder; or OWNER/MODEL on the hub",
        )
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (str(name).count("/") != 1 or str(name)[0] in "/.~"):
        raise NasError(
            f"no encoder {str(name)!r}: no such folder",
            hint=f"{nearest(name, NAMES)}; or a folder; or OWNER/MODEL on the hub",
        )
    if local:
        _refuse_emotion2vec(folder, str(name))
        location, revision = str(folder.resolve()), None
    else:
        location, revision = str(name), _commit(str(name))
    layers = _layers_told(folder) if local else None
    if layers is None:
        config = load_part("AutoConfig", location, str(name), revision)
        layers = getattr(config, "encoder_layers", getattr(config, "num_hidden_layers", 0))
    return EncoderSource(str(name), location, revision or _content(folder), int(layers))


def _layers_told(folder: Path) -> int | None:
    """Read the number of layers out of a folder; transformers takes a second to import."""
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = told.get("encoder_layers", told.get("num_hidden_layers"))
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None


def load_part(kind: str, location: str, name: str, revision: str | None, **options: Any) -> Any:
    """Call ``from_pretrained`` of a class of transformers.

    Code that comes with a checkpoint is not run.

    Args:
        kind: Name of the class.
        location: A folder, or a name on the hub.
        name: As a person names it, for the error.
        revision: The commit on the hub; None for a folder.
        options: For ``from_pretrained``.

    Raises:
        NasError: It cannot be loaded.
    """
    import transformers

    if revision is not None:
        options["revision"] = revision
    try:
        with without_bars():
            return getattr(transformers, kind).from_pretrained(
                location, trust_remote_code=False, **options
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _cannot_load(name, error, _LOCAL_HINT if revision is None else _HUB_HINT) from error


def _commit(name: str) -> str:
    """Ask the hub for a model's commit, or its local cache when there is no network."""
    import transformers

    utils: Any = transformers.utils
    try:
        config = utils.cached_file(name, "config.json")
    except (OSError, ValueError) as error:
        if _EMOTION2VEC in name.lower():
            raise _no_emotion2vec(name) from error
        raise _cannot_load(name, error, _HUB_HINT) from error
    return Path(config).parent.name  # the cache keeps a folder for each commit


def _cannot_load(name: str, error: Exception, hint: str) -> NasError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return NasError(f"cannot load the encoder: {reason}", where=name, hint=hint)


def _refuse_emotion2vec(folder: Path, name: str) -> None:
    """Say what to do with the checkpoint as its authors publish it."""
    settings = folder / "config.yaml"
    if (folder / "config.json").is_file() or not settings.is_file():
        return
    if _EMOTION2VEC in settings.read_text(encoding="utf-8", errors="replace").lower():
        raise _no_emotion2vec(name)


def _no_emotion2vec(name: str) -> NasError:
    return NasError(
        "emotion2vec is published for FunASR, in a form that transformers cannot load: it is"
        " data2vec 2.0, which transformers does not have",
        where=name,
        hint="write its frames with FunASR (granularity='frame', extract_embedding=True) as .npy"
        " files [L, D] and give a manifest.csv of those: they are 50 Hz, the default of .npy;"
        " docs/encoders.md shows how",
    )


def _content(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in (folder / name for name in _SETTINGS):
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
            settings.pop("transformers_version", None)  # says who wrote it, not what it is
            digest.update(f"{file.name} {json.dumps(settings, sort_keys=True)}\n".encode())
    for file in sorted({f for pattern in _WEIGHTS for f in folder.glob(pattern)}):
        digest.update(f"{file.name} {file_digest(file.resolve())}\n".encode())
    return digest.hexdigest()
