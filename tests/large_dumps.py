"""Where `../shared` is, and names of the dumps in it as parameters of tests."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("MAGNET_ARROW_SHARED", Path(__file__).parents[2] / "shared"))

SLOW = {"bbq", "classic", "helm_made", "helm_old", "large", "mmlu", "mmlu_made"}
"""Dumps of 5 MB of JSON and more."""


def dump_params(names: Iterable[str]) -> list[Any]:
    """The dumps with these names as values of one parameter; tests of a large one are marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]
