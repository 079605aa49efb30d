"""NumPy, which is optional: a user without it is told how to get it. And the types of its arrays, for annotations."""

from typing import TYPE_CHECKING, Any, TypeAlias

from magnet_arrow._optional import optional_module

if TYPE_CHECKING:
    import numpy as np

    Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
    Booleans: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"
    Integers: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
    Codes: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.integer]]"
    """Numbers of levels or groups, counted from 0, of any type of integers."""


def numpy() -> Any:
    """NumPy's module.

    Raises:
        MissingPackageError: it is not installed.
    """
    return optional_module("numpy", "Matrices need NumPy.", extra="panel")
