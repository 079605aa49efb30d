"""SciPy, scikit-learn and scoringrules, which are optional: a user without them is told how to get them."""

import importlib
from typing import Any

from magnet_arrow.errors import MissingPackageError


def scipy_special() -> Any:
    """The module `scipy.special`: distribution functions (`stdtr`, `stdtrit`, `ndtri`).

    `scipy.stats` has them, too, but its import takes a second.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("scipy.special", "SciPy")


def scipy_integrate() -> Any:
    """The module `scipy.integrate`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("scipy.integrate", "SciPy")


def scipy_optimize() -> Any:
    """The module `scipy.optimize`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("scipy.optimize", "SciPy")


def scipy_sparse() -> Any:
    """The module `scipy.sparse`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("scipy.sparse", "SciPy")


def sklearn(submodule: str) -> Any:
    """A module of scikit-learn: `sklearn("linear_model")` is `sklearn.linear_model`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module(f"sklearn.{submodule}", "scikit-learn")


def threadpoolctl() -> Any:
    """The module `threadpoolctl`, which comes with scikit-learn.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("threadpoolctl", "scikit-learn")


def scoringrules() -> Any:
    """The module `scoringrules`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("scoringrules", "scoringrules")


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"Scores, intervals and rankings need {package}.", hint="pip install 'magnet-arrow[stats]'"
        ) from error
