"""Speak sentences with espeak-ng, each as if it were the first.

The engine comes with the Python package ``espeakng-loader`` and needs no installation by root.
It keeps state between utterances (phase, flutter, echo) and seeds its breath noise by the
clock, so this file is also a program: a process of its own, free of threads, that forks before
every utterance and sets the seed. What is heard depends on the request alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

PACKAGE = "espeakng_loader"

# of espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8 = 1

# One name for every variant: the engine lists 349 voice files at most.
_VARIANT = "nas"


@dataclass(frozen=True)
class Request:
    """One utterance.

    Args:
        text: What is said.
        voice: Name of the engine's voice, ``gmw/en-US`` for one.
        variant: Lines of a voice-variant file, which changes pitch, formants and phonation.
        rate: Words a minute.
        seed: Of the engine's noise.
    """

    text: str
    voice: str
    variant: str
    rate: int
    seed: int


class SpeechFailed(RuntimeError):
    """The engine is missing, or did not speak."""


class Speaking:
    """A running engine.

    Args:
        process: This file, run as a program.
        rate: [Hz] of what it gives.
    """

    def __init__(self, process: subprocess.Popen[bytes], rate: int) -> None:
        self._process = process
        self.rate = rate

    def say(self, request: Request) -> bytes:
        """Return 16-bit samples in the machine's byte order.

        Raises:
            SpeechFailed: The engine refused or died.
        """
        told, heard = self._process.stdin, self._process.stdout
        assert told is not None
        assert heard is not None
        try:
            told.write(json.dumps(asdict(request)).encode() + b"\n")
            told.flush()
        except BrokenPipeError:
            raise SpeechFailed(f"espeak-ng ended before {request.text!r}") from None
        return _take(heard, f"{request.text!r} in the voice {request.voice}")


@contextlib.contextmanager
def speaking() -> Iterator[Speaking]:
    """Start the engine; stop it afterwards.

    Raises:
        SpeechFailed: It is not installed, or does not start.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise SpeechFailed(f"the package {PACKAGE} is not installed")
    # -P: the folder of this file must not be searched for modules
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            (rate,) = struct.unpack("<i", _take(process.stdout, "its first word"))
            yield Speaking(process, rate)
        finally:
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()  # the end of its requests is the end of it


def _take(stream: IO[bytes], what: str) -> bytes:
    head = stream.read(4)
    size = struct.unpack("<I", head)[0] if len(head) == 4 else 0
    content = stream.read(size)
    if not size or len(content) != size:
        raise SpeechFailed(f"espeak-ng failed at {what}")
    return content


def _give(stream: IO[bytes], content: bytes) -> None:
    stream.write(struct.pack("<I", len(content)) + content)
    stream.flush()


# -- the program -------------------------------------------------------------------------------


class _Engine:
    """The library, with a data folder that variants can be written to."""

    def __init__(self, folder: Path) -> None:
        package: Any = importlib.import_module(PACKAGE)
        self.variant = folder / "voices" / "!v" / _VARIANT
        self.variant.parent.mkdir(parents=True)
        for path in Path(package.get_data_path()).iterdir():
            if path.name != "voices":
                (folder / path.name).symlink_to(path)
        self.library = ctypes.CDLL(package.get_library_path())
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 200, str(folder).encode(), 0)
        if self.rate <= 0:
            raise SpeechFailed(f"espeak_Initialize gave {self.rate}; its folder is {folder}")
        self.heard: list[bytes] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.callback = kind(self._hear)  # kept: the library holds no reference to it
        self.library.espeak_SetSynthCallback(self.callback)
        self.library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self.library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]

    def _hear(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self.heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    def say(self, request: Request) -> bytes:
        self.variant.write_text(request.variant, encoding="utf-8")
        self.library.espeak_ng_SetRandSeed(request.seed)
        if self.library.espeak_SetVoiceByName(f"{request.voice}+{_VARIANT}".encode()):
            raise SpeechFailed(f"espeak-ng has no voice {request.voice!r}")
        settings = ((_RATE, request.rate), (_VOLUME, 90), (_PITCH, 50), (_RANGE, 50))
        for parameter, value in settings:
            self.library.espeak_SetParameter(parameter, value, 0)
        text = request.text.encode() + b"\0"
        failed = self.library.espeak_Synth(text, len(text), 0, 1, 0, _UTF8, None, None)
        if failed:
            raise SpeechFailed(f"espeak_Synth gave {failed}")
        self.library.espeak_Synchronize()
        return b"".join(self.heard)

    def say_apart(self, request: Request) -> bytes:
        """Speak in a child, so that nothing of it stays behind."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(reading)
                with os.fdopen(writing, "wb") as file:
                    file.write(self.say(request))
                code = 0
            except SpeechFailed as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            samples = file.read()
        os.waitpid(child, 0)
        return samples  # empty when it failed, which the reader takes for the end


def _serve() -> None:
    folder = Path(tempfile.mkdtemp(prefix="es"))  # short: the engine cuts paths at 160 characters
    try:
        engine = _Engine(folder / "espeak-ng-data")
        _give(sys.stdout.buffer, struct.pack("<i", engine.rate))
        for line in sys.stdin.buffer:
            _give(sys.stdout.buffer, engine.say_apart(Request(**json.loads(line))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the one who asked hears of it too
        _serve()
