"""Names of the dumps in `../shared/data` as parameters of tests."""

from collections.abc import Iterable
from typing import Any

import pytest

SLOW = {"bbq", "classic", "helm_made", "helm_old", "large", "mmlu", "mmlu_made"}
"""Dumps of 5 MB of JSON and more."""


def dump_params(names: Iterable[str]) -> list[Any]:
    """The dumps with these names as values of one parameter; tests of a large one are marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]
