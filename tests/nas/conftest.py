from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.executors.ray_cluster import cluster
from nas.executors.workers import Workers

# spaces.py is also loaded by the processes that the crash tests start
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def own_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray for many tests, and the log of the evaluations on it."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NAS_TEST_LOG", str(folder / "evaluations.log"))
        with cluster(Workers(2), folder):
            yield folder / "evaluations.log"
