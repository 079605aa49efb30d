"""Packages that are optional: a user without one is told how to get it."""

import importlib
from typing import Any

from magnet_arrow.errors import MissingPackageError


def optional_module(name: str, need: str, *, extra: str) -> Any:
    """A module of an optional package.

    Args:
        name: the module.
        need: the sentence that says what needs the package.
        extra: ours that installs it.

    Raises:
        MissingPackageError: it is not installed.

    >>> optional_module("scipy.spezial", "Intervals need SciPy.", extra="stats")
    Traceback (most recent call last):
    magnet_arrow.errors.MissingPackageError: Intervals need SciPy.
      pip install 'magnet-arrow[stats]'
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(need, hint=f"pip install 'magnet-arrow[{extra}]'") from error
