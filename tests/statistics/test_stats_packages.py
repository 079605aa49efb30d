"""Optional packages: they come as they are, and a user without them is told the command."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import scipy.special
import sklearn.linear_model

from magnet_arrow.errors import MissingPackageError
from magnet_arrow.statistics import stats_packages


def test_the_packages_own_modules_come() -> None:
    assert stats_packages.scipy("special") is scipy.special
    assert stats_packages.sklearn("linear_model") is sklearn.linear_model


@pytest.mark.parametrize(
    ("module", "get"),
    [
        ("scipy.special", lambda: stats_packages.scipy("special")),
        ("scipy.integrate", lambda: stats_packages.scipy("integrate")),
        ("scipy.optimize", lambda: stats_packages.scipy("optimize")),
        ("scipy.sparse", lambda: stats_packages.scipy("sparse")),
        ("sklearn.linear_model", lambda: stats_packages.sklearn("linear_model")),
        ("threadpoolctl", stats_packages.threadpoolctl),
        ("scoringrules", stats_packages.scoringrules),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_package_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, module: str, get: Callable[[], Any]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'magnet-arrow\[stats\]'") as caught:
        get()
    assert caught.value.message == f"Scores, intervals and rankings need {package(module)}."


def package(module: str) -> str:
    names = {"scipy": "SciPy", "sklearn": "scikit-learn", "threadpoolctl": "scikit-learn"}
    return names.get(module.split(".")[0], module)
