"""Class maps: which class each label of a corpus belongs to, or that it is left out.

    # classes.yaml
    hap: happy
    exc: excited      # a class of its own
    sad: null         # left out

A label that the map does not name stays what it is by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eval.corpora.corpus import Utterance
from search_spaces.errors import NasError, nearest
from search_spaces.yaml_source import Source, read_yaml

ClassMap = Mapping[str, str | None]


def read_class_map(given: str | Path | ClassMap | None) -> dict[str, str | None] | None:
    """Return the content of a class map, so that a run can keep it.

    Args:
        given: The path of a YAML file, a mapping of the same form, or None.

    Raises:
        NasError: Not a mapping of labels to class names, with file, line and key.
    """
    if given is None:
        return None
    if isinstance(given, str | Path):
        data, source = read_yaml(Path(given).expanduser())
    else:
        data, source = given, Source("<class map>")
    if not isinstance(data, Mapping) or not data:
        raise source.error(
            (),
            "a class map must map labels of the corpus to classes",
            "for example {hap: happy, exc: happy, fru: null}; null leaves a label out",
        )
    for label, name in data.items():
        if not isinstance(label, str):
            raise source.error(
                (str(label),), f"label {label!r} is no text", f'put it in quotes: "{label}"'
            )
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise source.error(
                (label,),
                f"class {name!r} is no text",
                "give a class name, or null to leave it out",
            )
    return dict(data)


def map_labels(
    utterances: Sequence[Utterance],
    labels: Iterable[str],
    class_map: ClassMap,
    *,
    corpus: str,
    where: Path,
) -> tuple[Utterance, ...]:
    """Put the class of each label in its place; utterances without a class are left out.

    Args:
        utterances: With the corpus's own labels.
        labels: Every label that the corpus may have.
        class_map: Of some of them; the others keep their names.
        corpus: Its name, for the error.
        where: Its folder, for the error.

    Raises:
        NasError: The map names another label, or leaves nothing.
    """
    known = tuple(labels)
    for label in class_map:
        if label not in known:
            raise NasError(
                f"the class map names label {label!r}, which corpus {corpus!r} has not",
                where=str(where),
                hint=nearest(label, known),
            )
    mapped = []
    for u in utterances:
        name = class_map.get(u.label, u.label)
        if name is not None:
            mapped.append(replace(u, label=name))
    if not mapped:
        raise NasError(
            "the class map leaves no utterance",
            where=str(where),
            hint="give at least two labels a class",
        )
    return tuple(mapped)
