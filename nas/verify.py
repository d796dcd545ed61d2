"""An export loaded again and measured again: does it give the figures that it came with?"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from search_spaces.errors import NasError

CLOSE = 1e-9  # shares of the same counts, through the same arithmetic


def verify(
    folder: Path, say: Callable[[str], None], trusted: Collection[str] = ()
) -> dict[str, Any]:
    """Load an export and measure it on the utterances its weights have not seen.

    The weights are those of the first validation fold, so it is that fold's recall which has
    to come out again, from the files of the folder alone and the corpus.

    Args:
        folder: Of a run on a corpus, with weights.
        say: Takes lines about slow preparations.
        trusted: A family outside this package that may be imported, as the run's own.

    Returns:
        ``measured_on``, and ``wa`` and ``ua`` as ``[recorded, measured]``.

    Raises:
        NasError: It cannot be measured, or gives other figures.
    """
    from eval.process import prepare_cpu
    from eval.recall import recall
    from eval.training import predict
    from nas.hardware.loading import read_model
    from nas.robustness import unseen_utterances

    prepare_cpu()
    model = read_model(folder, trusted)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rows = metrics.get("folds")
    if not rows:
        raise NasError("this export records no figures by fold", where=str(folder))
    dataset, indices, where = unseen_utterances(model.exported, None, None, say=say)
    predicted = predict(model.network, dataset, indices).argmax(1).numpy()
    found = recall(dataset.labels[indices], predicted, len(dataset.classes))
    result: dict[str, Any] = {"measured_on": where}
    for name, value in (("wa", found.wa), ("ua", found.ua)):
        recorded = float(rows[0][name])
        result[name] = [recorded, value]
        if abs(recorded - value) > CLOSE:
            raise NasError(
                f"{name} is {100 * value:.2f} % and was recorded as {100 * recorded:.2f} %",
                where=str(folder),
                hint="another version of a library, or a file that was changed? See"
                " environment.json",
            )
    return result
