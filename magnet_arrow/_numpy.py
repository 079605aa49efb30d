"""NumPy, which is optional: a user without it is told how to get it."""

from typing import Any

from magnet_arrow.errors import MissingPackageError


def numpy() -> Any:
    """NumPy's module.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import numpy as module
    except ImportError as error:
        raise MissingPackageError("Matrices need NumPy.", hint="pip install numpy") from error
    return module
