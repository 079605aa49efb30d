"""Short names of scenarios: the class and the arguments that differ from run to run, such as `MMLU: anatomy`."""

import json
from collections import defaultdict
from itertools import chain
from typing import Any

import polars as pl

LABEL = "scenario label"
_ALL = "scenario_args"
_PREFIX = "args."


def with_labels(scores: pl.DataFrame) -> pl.DataFrame:
    """The scores of runs with the label of their scenario.

    >>> scores = pl.DataFrame({"scenario": ["MMLUScenario"] * 2, "args.subject": ["law", "art"], "args.k": [1, 1]})
    >>> with_labels(scores)[LABEL].to_list()
    ['MMLU: law', 'MMLU: art']
    """
    scenarios = scores["scenario"].fill_null("no scenario").to_list()
    arguments = _arguments(scores)
    varying = _varying(scenarios, arguments)
    labels = [
        _label(scenario, {name: own[name] for name in varying[scenario] if name in own})
        for scenario, own in zip(scenarios, arguments, strict=True)
    ]
    return scores.with_columns(pl.Series(LABEL, labels, pl.String))


def _arguments(scores: pl.DataFrame) -> list[dict[str, str]]:
    """The arguments of each run's scenario, as text."""
    if _ALL in scores.columns:
        return [{name: _text(value) for name, value in json.loads(text or "{}").items()} for text in scores[_ALL]]
    names = [name for name in scores.columns if name.startswith(_PREFIX)]
    rows = scores.select(pl.col(name).alias(name.removeprefix(_PREFIX)) for name in names).to_dicts()
    return [{name: _text(value) for name, value in row.items()} for row in rows] or [{}] * scores.height


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _varying(scenarios: list[str], arguments: list[dict[str, str]]) -> dict[str, list[str]]:
    """Of each scenario the arguments that are not the same in all of its runs."""
    runs: dict[str, list[dict[str, str]]] = defaultdict(list)
    for scenario, own in zip(scenarios, arguments, strict=True):
        runs[scenario].append(own)
    return {
        scenario: [
            name for name in dict.fromkeys(chain(*of_scenario)) if len({own.get(name) for own in of_scenario}) > 1
        ]
        for scenario, of_scenario in runs.items()
    }


def _label(scenario: str, varying: dict[str, str]) -> str:
    name = scenario.removesuffix("Scenario") or scenario
    if len(varying) == 1:
        return f"{name}: {next(iter(varying.values()))}"
    return name + (": " if varying else "") + ", ".join(f"{key}={value}" for key, value in varying.items())
