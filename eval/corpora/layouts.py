"""The layouts that are known, and which of them a folder has."""

from __future__ import annotations

from pathlib import Path

from eval.corpora import see
from eval.corpora.classes import ClassMap
from eval.corpora.corpus import MANIFEST, Corpus
from eval.corpora.file_names import FILE_NAMES
from eval.corpora.iemocap import IEMOCAP
from eval.corpora.layout import Layout, audio_files, open_layout, with_classes
from eval.corpora.msp_podcast import MSP_PODCAST
from eval.corpora.nmnist import N_MNIST
from eval.corpora.shd import SHD, SSC
from search_spaces.errors import NasError, nearest

LAYOUTS: dict[str, Layout] = {i.name: i for i in (IEMOCAP, *FILE_NAMES, MSP_PODCAST)}
SEE = see.PREFIX.removesuffix(":")
PACKED = {i.name: i for i in (SHD, SSC, N_MNIST)}
NAMES = (*LAYOUTS, *PACKED, SEE)


def split_name(data: str) -> tuple[str, Path] | None:
    """Take ``name:FOLDER`` apart; None of anything else.

    A path that exists is a path even where it holds a colon.

    Raises:
        NasError: No layout has the name, or no folder stands behind it.
    """
    name, colon, rest = data.partition(":")
    if not colon or len(name) < 2 or "/" in name or "\\" in name or Path(data).exists():
        return None
    if name not in NAMES:
        raise NasError(f"no layout {name!r}", where=data, hint=nearest(name, NAMES))
    if not rest:
        raise NasError("no folder given", where=data, hint=f"give {name}:FOLDER")
    return name, Path(rest).expanduser()


def open_named(name: str, folder: Path, class_map: ClassMap | None = None) -> Corpus:
    """Open a folder that a person says is laid out in a certain way.

    Raises:
        NasError: No such folder, or it is not laid out so, or as `open_layout`.
    """
    if not folder.is_dir():
        raise NasError(
            f"no folder {str(folder)!r}", hint=f"give {name}:FOLDER, where the corpus lies"
        )
    if name == SEE or name in PACKED:
        return _open(name, folder, class_map)
    found = LAYOUTS[name].find(folder, audio_files(folder))
    if not found and (others := found_in(folder)):
        raise NasError(
            f"this is not laid out as {LAYOUTS[name].title}",
            where=str(folder),
            hint=f"it looks like {' or '.join(others)}; looked for {LAYOUTS[name].form}",
        )
    return _open(name, folder, class_map)


def open_detected(folder: Path, class_map: ClassMap | None = None) -> Corpus:
    """Open a folder without a manifest by what is in it.

    Raises:
        NasError: No layout fits, or more than one, or as `open_layout`.
    """
    found = found_in(folder)
    if not found:
        looked = "".join(f"\n    {i.name}: {i.form}" for i in LAYOUTS.values())
        raise NasError(
            f"the folder has no {MANIFEST}, and is laid out as no corpus known here",
            where=str(folder),
            hint="write one with the columns path,label,speaker (and session, split if any);"
            f" or give the folder of one of these, looked for in vain:{looked}"
            f"\n    {SEE}: event/EMOTION/SEQUENCE"
            + "".join(f"\n    {i.name}: {i.form}" for i in PACKED.values()),
        )
    if len(found) > 1:
        raise NasError(
            f"the folder is laid out as more than one corpus: {', '.join(found)}",
            where=str(folder),
            hint=f"say which, as {found[0]}:{folder}, or give the folder of one of them",
        )
    return _open(found[0], folder, class_map)


def found_in(folder: Path) -> list[str]:
    """Return the names of the layouts that fit a folder."""
    files = list(audio_files(folder))
    found = [name for name, layout in LAYOUTS.items() if layout.find(folder, files)]
    found += [name for name, packed in PACKED.items() if packed.find(folder)]
    return [*found, SEE] if see.find_see(folder) is not None else found


def _open(name: str, folder: Path, class_map: ClassMap | None) -> Corpus:
    if name == SEE:
        return with_classes(see.open_see(folder), class_map)
    if name in PACKED:
        return with_classes(PACKED[name].open(folder), class_map)
    return open_layout(LAYOUTS[name], folder, class_map)
