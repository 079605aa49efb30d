"""SciPy, scikit-learn and scoringrules, which are optional: a user without them is told how to get them."""

from typing import Any

from magnet_arrow._optional import optional_module


def scipy(submodule: str) -> Any:
    """A module of SciPy: `scipy("special")` is `scipy.special`.

    Distribution functions come from `scipy.special`, since the import of `scipy.stats` takes a second.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module(f"scipy.{submodule}", "SciPy")


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
    return optional_module(name, f"Scores, intervals and rankings need {package}.", extra="stats")
