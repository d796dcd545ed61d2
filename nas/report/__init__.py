"""What came out of runs, for people: one page that works offline, and images for papers."""

from __future__ import annotations

from nas.report.build import build
from nas.report.data import RunData, read_run, read_runs
from nas.report.panel import Panel, Section, Table

__all__ = ["Panel", "RunData", "Section", "Table", "build", "read_run", "read_runs"]
