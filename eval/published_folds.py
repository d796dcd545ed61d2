"""Speakers that published folds hold out together.

Read off the fold files of the EmoBox benchmark (github.com/emo-box/EmoBox, commit 08280f2,
data/ravdess and data/esd), where each speaker is in the test part of one fold only.
"""

from __future__ import annotations

Members = tuple[tuple[str, ...], ...]

# Actors: men have odd numbers.
RAVDESS: Members = (
    ("01", "11", "20", "21"),
    ("04", "10", "12", "14"),
    ("08", "09", "19", "23"),
    ("03", "05", "07", "24"),
    ("02", "15", "16", "18"),
    ("06", "13", "17", "22"),
)

ESD: Members = (
    ("0005", "0011", "0016", "0018"),
    ("0012", "0014", "0015", "0019"),
    ("0003", "0004", "0006", "0009"),
    ("0007", "0008", "0013", "0020"),
    ("0001", "0002", "0010", "0017"),
)

PUBLISHED: dict[str, Members] = {"ravdess": RAVDESS, "esd": ESD}
