"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the runs that tests begin out of the folder that a person's are in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield
