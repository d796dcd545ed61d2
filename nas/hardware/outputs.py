"""Packages that only conversions need."""

from __future__ import annotations

import importlib
from types import ModuleType

from search_spaces.errors import NasError


def require(package: str) -> ModuleType:
    """Import an optional package.

    Raises:
        NasError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise NasError(
            f"this needs the package {package}: {error}", hint="pip install 'nas[hardware]'"
        ) from None
