"""The lines of Python and of the shell that repeat an evaluation."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from magnet_arrow.evaluation import BASELINES
from magnet_arrow.evaluation.report.findings import BASELINE_CLASSES
from magnet_arrow.predictions.model_families import known_families

if TYPE_CHECKING:
    from magnet_arrow.evaluation.record import Evaluation

FAMILIES = "families.csv"
"""The name, in these lines, of the table of families that an evaluation used."""


def python_lines(found: "Evaluation", source: str | None) -> str:
    """A call of `evaluate` with the same predictors and arguments.

    Args:
        found: the evaluation.
        source: the path of the scores; None calls them `data`.
    """
    own, baselines = _classes(found)
    imports = [f"from {module} import {name}" for module, name in own if _is_importable(module, name)]
    predictors = [name for _, name in own] + _baselines_in_python(baselines)
    arguments = {name: value for name, value in found.provenance["arguments"].items() if value is not None}
    options = [f"{name}={value!r}" for name, value in arguments.items()]
    options += [f"families={FAMILIES!r}"] if uses_families(found) else []
    lines = [
        "import magnet_arrow as magnet",
        *(["from magnet_arrow import evaluation"] if baselines else []),
        *imports,
        "",
        "magnet.evaluate(",
        f"    [{', '.join(predictors)}],",
        f"    {'data' if source is None else repr(source)},",
        *(f"    {option}," for option in options),
        ")",
    ]
    return "\n".join(lines)


def shell_line(found: "Evaluation", source: str | None) -> str | None:
    """The command that repeats an evaluation; None if a predictor is of a class that no other process can import.

    Args:
        found: the evaluation.
        source: the path of the scores; None calls them SOURCE.
    """
    own, baselines = _classes(found)
    if not all(_is_importable(module, name) for module, name in own):
        return None
    has_all = len(baselines) == len(BASELINES)
    named = [*own, *([] if has_all else baselines)]
    words = ["magnet-arrow", "evaluate", *(f"{module}:{name}" for module, name in named), source or "SOURCE"]
    return shlex.join([*words, *_options(found), *([] if has_all else ["--no-baselines"])])


def uses_families(found: "Evaluation") -> bool:
    """Whether somebody's own table said of which families and organisations the models are."""
    columns = ("model", "family", "organisation")
    given = found.predictions.select(columns).unique(maintain_order=True)
    known = known_families(given.get_column("model").to_list()).select(columns)
    return not given.equals(known)


def _options(found: "Evaluation") -> Iterator[str]:
    arguments = found.provenance["arguments"]
    yield from ("--target", arguments["target"])
    if arguments["folds"] is not None:
        yield from ("--folds", arguments["folds"])
    yield from ("--budgets", ",".join(map(str, arguments["budgets"])))
    yield from ("--draws", str(arguments["draws"]), "--seed", str(arguments["seed"]))
    if arguments["timeout"] is not None:
        yield from ("--timeout", str(arguments["timeout"]))
    if uses_families(found):
        yield from ("--families", FAMILIES)


def _classes(found: "Evaluation") -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Module and name of the classes that are no baselines, and of those that are."""
    own: list[tuple[str, str]] = []
    baselines: list[tuple[str, str]] = []
    for one in found.provenance["predictors"]:
        module, _, name = one["class"].partition(":")
        (baselines if one["class"] in BASELINE_CLASSES else own).append((module, name))
    return own, baselines


def _is_importable(module: str, name: str) -> bool:
    return module != "__main__" and name.isidentifier()


def _baselines_in_python(baselines: list[tuple[str, str]]) -> list[str]:
    if len(baselines) == len(BASELINES):
        return ["*evaluation.BASELINES"]
    return [f"evaluation.{name}" for _, name in baselines]
