"""What HELM's metrics are: kind, direction and unit of each, and which one is the main metric of a run.

A suite's `schema.json` says it for the metrics and groups that it has. For the others there are two tables of ours:
`_METRICS` below, and `main_metrics.csv`, the `get_metadata` of HELM's scenario classes
(`tests/data/make_main_metrics.py` writes it).
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

import polars as pl

from magnet_arrow.errors import BadFileError, warn
from magnet_arrow.helm.run_place import RunPlace
from magnet_arrow.query.raw_json import read_json
from magnet_arrow.schema.registry import RUN
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import ENDINGS

Kind: TypeAlias = Literal["quality", "cost", "bookkeeping"]
"""Whether a metric says how good answers are, what they cost, or how the run was made."""

METRIC, SPLIT = "metric", "split"
MAIN_METRICS_TYPES = {METRIC: pl.String(), SPLIT: pl.String(), "metric_source": pl.String(), "reason": pl.String()}
"""The columns of `main_metrics` behind `magnet.run`."""

_HELM = "HELM 0.5.16"
_SCHEMA = "schema.json"

# Pattern of names, kind, whether lower is better, unit. The first that matches counts; what matches none is of kind
# quality, and has no direction. From HELM 0.5.16: `lower_is_better` and units in display names of schema_*.yaml
# (classic, heim, audio, safety), and `get_metadata` of metrics/basic_metrics.py and metrics/efficiency_metric.py.
_METRICS: tuple[tuple[str, Kind, bool | None, str | None], ...] = (
    (r"(inference_\w+|denoised)_?runtime|inference_runtime|denoised_runtime", "cost", True, "s"),
    (r"training_co2_cost", "cost", True, "kg CO2"),
    (r"training_energy_cost", "cost", True, "MWh"),
    (r"estimated_num_tokens_cost", "cost", True, "tokens"),
    (r"(num|max_num)_\w*tokens", "bookkeeping", None, "tokens"),
    (r"num_bytes", "bookkeeping", None, "bytes"),
    (r"num_prompt_characters|prompt_length", "bookkeeping", None, "characters"),
    (r"num_\w+|batch_size|predicted_index|ref\d+_rank|platt_(coef|intercept)", "bookkeeping", None, None),
    (r"finish_reason_\w+|prompt_truncated|max_prob|\w+_annotator_success", "bookkeeping", None, "fraction"),
    (r"\w+_ci_(low|high)", "bookkeeping", None, None),
    (r"logprob", "bookkeeping", None, "nats"),
    (r"logprob_per_byte", "bookkeeping", None, "nats per byte"),
    (r"bits_per_byte", "quality", True, "bits per byte"),
    (r"perplexity", "quality", True, None),
    (r"(platt_)?ece_\d+_bin", "quality", True, "fraction"),
    (r"selective_\w+(@\d+)?", "quality", False, "fraction"),
    (r"(chinese_)?(wer|mer|cer)(_score)?|error_rate", "quality", True, "fraction"),
    (r"(expected_)?(max_)?toxic\w*|max_toxicity_probability", "quality", True, "fraction"),
    (r"bias_metric:.*|bbq_metric_\w+_bias|\w+_imbalance|\w+_(parity|odds)_difference", "quality", True, None),
    (r"\w*(nsfw|nudity|watermark|blacked_out)\w*(=\w+)?|toxic_prompt_\w+", "quality", True, "fraction"),
    (r"fid|kernel_inception_distance|expected_lpips_score|fractal_dimension_loss", "quality", True, None),
    (r"longest_common_prefix_length", "quality", True, "tokens"),
    (r"absolute_value_difference|distance|decodingtrust_privacy_leakage_rate", "quality", True, None),
    # Copyright counts likeness as bad, translation and others count it as good: schemas contradict each other.
    (r"edit_similarity|edit_distance|self_bleu|monte_carlo_entropy|summarization_\w+", "quality", None, None),
    (r"(quasi_)?(prefix_)?exact_match(@\d+)?|exact_match_indicator|\w+_exact_match", "quality", False, "fraction"),
    (
        r"(chinese_)?(bleu|rouge|f1|ibleu)[\w-]*(@\d+)?|(classification|adjusted)_\w+_f1\w*",
        "quality",
        False,
        "fraction",
    ),
    (r"(iou|f1|exact)_set_match|math_equiv\w*|\w*accuracy|chain_of_thought_correctness", "quality", False, "fraction"),
    (
        r"(NDCG|RR|Success|Recall)@?\d*( \(topk=\d+\))?|ifeval_\w+|safety_score|pass|test_avg",
        "quality",
        False,
        "fraction",
    ),
)
_PATTERNS = tuple((re.compile(pattern), kind, lower, unit) for pattern, kind, lower, unit in _METRICS)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is.

    Attributes:
        name: as in `stats.name.name`.
        kind: whether it says how good answers are ("quality"), what they cost ("cost"), or how the run was made
            ("bookkeeping").
        lower_is_better: None where neither way is better, or nobody says.
        unit: such as "s" or "fraction" (of 1); None where it has none, or nobody says.
        source: who says so.
    """

    name: str
    kind: Kind
    lower_is_better: bool | None
    unit: str | None
    source: str


@dataclass(frozen=True, slots=True)
class SuiteSchema:
    """What a `schema.json` says of metrics and run groups.

    Attributes:
        source: which file it is.
        lower_is_better: of each metric that it has.
        main: main metric and its split, of each run group that has one.
    """

    source: str = _SCHEMA
    lower_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    main: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def metric(name: str, schema: SuiteSchema | None = None) -> Metric:
    """What the metric of this name is; its direction by a suite's schema where that has the metric.

    >>> metric("inference_runtime")
    Metric(name='inference_runtime', kind='cost', lower_is_better=True, unit='s', source='HELM 0.5.16')
    >>> metric("quasi_exact_match").kind
    'quality'
    """
    found = next((entry for entry in _PATTERNS if entry[0].fullmatch(name)), None)
    kind, lower, unit = found[1:] if found else ("quality", None, None)
    source = _HELM if found else "no table has it"
    if schema is not None and schema.lower_is_better.get(name) is not None:
        lower, source = schema.lower_is_better[name], schema.source
    return Metric(name, kind, lower, unit, source)


def of_kind(names: Iterable[str], kind: Kind) -> list[str]:
    """Those names of metrics that are of a kind."""
    return [name for name in names if metric(name).kind == kind]


def read_suite_schema(place: RunPlace) -> SuiteSchema | None:
    """The `schema.json` of a run's suite, else that of the last release that the suite is in; None if there is none.

    A file that cannot be read counts as missing, and a `MagnetWarning` says so.
    """
    suite = place.path.parent
    folders = [suite, *_releases_of(place)]
    for folder in folders:
        if _has_file(folder, _SCHEMA):
            try:
                return _suite_schema(read_json(folder, _SCHEMA, folder.name), f"{folder.name}/{_SCHEMA}")
            except BadFileError as error:
                warn(f"Metrics are looked up without it: {error}")
    return None


def _releases_of(place: RunPlace) -> list[Any]:
    """Folders of the releases whose summary names the suite, the last first."""
    found = []
    releases = place.source / "releases"
    names = filesystem.names(releases) if filesystem.is_folder(releases) else []
    for folder in [releases / name for name in sorted(names, reverse=True)]:
        if filesystem.is_link(folder) or not _has_file(folder, "summary.json"):
            continue
        try:
            summary = read_json(folder, "summary.json", folder.name)
        except BadFileError:
            continue
        if isinstance(summary, dict) and place.suite in (summary.get("suites") or ()):
            found.append(folder)
    return found


def _has_file(folder: Any, name: str) -> bool:
    return any(filesystem.is_there(os.path.join(folder, name + ending)) for ending in ENDINGS)


def _suite_schema(value: Any, source: str) -> SuiteSchema:
    """What is of use in a schema; entries of another shape than HELM's say nothing."""
    main: dict[str, tuple[str, str]] = {}
    for group in _objects(value, "run_groups"):
        environment = group.get("environment")
        match environment:
            case {"main_name": str(name), "main_split": str(split)} if "none" not in (name, split):
                main[str(group.get("name"))] = (_as_in_columns(name), _as_in_columns(split))
    metrics = _objects(value, "metrics")
    lower = {str(one.get("name")): one.get("lower_is_better") for one in metrics}
    return SuiteSchema(source, {name: flag for name, flag in lower.items() if isinstance(flag, bool | None)}, main)


def _as_in_columns(text: str) -> str:
    """The text as columns hold it: U+FFFD for half a surrogate pair."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _objects(value: Any, key: str) -> list[dict[str, Any]]:
    entries = value.get(key) if isinstance(value, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


@dataclass(frozen=True, slots=True)
class RunOfMetric:
    """What decides the main metric of a run.

    Attributes:
        key: its `magnet.run`.
        groups: its run groups, in order.
        scenario_class: of its scenario, without modules.
        method: of its adapter.
    """

    key: str
    groups: Sequence[str]
    scenario_class: str
    method: str


Splits: TypeAlias = Mapping[str, Sequence[str | None]]
"""The unperturbed stats of a run: their names, and the splits that each is of."""


def main_metrics(
    runs: Sequence[RunOfMetric],
    schemas: Mapping[str, SuiteSchema | None],
    stats_of: Callable[[Sequence[str]], Mapping[str, Splits]],
) -> pl.DataFrame:
    """The main metric of each run, and the split that it counts on.

    That is `main_name` and `main_split` of the run's first group that has them in the suite's schema; else what HELM's
    scenario class says; else by method: `exact_match` of multiple choice, `bits_per_byte` of language modeling. What
    is not by the schema must be among the run's stats. As in HELM, `exact_match` stands in for a `quasi_exact_match`
    that the run does not have.

    Rows: one per run, in their order.
    Columns: `magnet.run`, then those of `MAIN_METRICS_TYPES`; where there is no main metric they are null, and
    `reason` says why.

    Args:
        runs: the runs.
        schemas: the schema of each run's suite, by `magnet.run`.
        stats_of: gives the stats of some runs; it is called once, and only if there is a run that needs it.
    """
    unsure = [run.key for run in runs if _needs_stats(run, schemas.get(run.key))]
    stats = stats_of(unsure) if unsure else {}
    rows = [(run.key, *_main_metric(run, schemas.get(run.key), stats.get(run.key))) for run in runs]
    return pl.DataFrame(rows, schema={RUN: pl.String(), **MAIN_METRICS_TYPES}, orient="row")


_Main: TypeAlias = tuple[str | None, str | None, str | None, str | None]


def _by_schema(run: RunOfMetric, schema: SuiteSchema | None) -> tuple[str, str] | None:
    main = schema.main if schema is not None else {}
    return next((main[group] for group in run.groups if group in main), None)


def _needs_stats(run: RunOfMetric, schema: SuiteSchema | None) -> bool:
    named = _by_schema(run, schema)
    return named is None or named[0] == "quasi_exact_match"


def _main_metric(run: RunOfMetric, schema: SuiteSchema | None, stats: Splits | None) -> _Main:
    known = stats or {}
    named = _by_schema(run, schema)
    if named is not None and schema is not None:
        return (_present(named[0], known) or named[0], named[1], schema.source, None)
    by_class = _main_by_class().get(run.scenario_class)
    if by_class is not None and (name := _present(by_class[0], known)):
        return name, by_class[1], f"{_HELM}, {by_class[2]}", None
    by_method = next((name for start, name in _BY_METHOD if run.method.startswith(start)), None)
    if by_method is not None and by_method in known:
        return by_method, _main_split(known[by_method]), f"method {run.method}", None
    return None, None, None, _why_none(run, by_class, by_method)


_BY_METHOD = (("multiple_choice_", "exact_match"), ("language_modeling", "bits_per_byte"))
"""What HELM's schema_classic.yaml has for nearly all scenarios of these methods."""


def _present(name: str, known: Splits) -> str | None:
    """The metric if the run has it, or the one that HELM takes in its place."""
    if name in known:
        return name
    return "exact_match" if name == "quasi_exact_match" and "exact_match" in known else None


def _main_split(splits: Sequence[str | None]) -> str | None:
    """The split that HELM evaluates on where there are several; see `split_rank`."""
    return min(splits, key=lambda split: (_RANKS.get(split, _LAST), split is not None, split or ""))


_RANKS: dict[str | None, int] = {"test": 0, "valid": 1}
_LAST = 2


def split_rank() -> pl.Expr:
    """Which split counts where there are several: the least rank, then no split, then the first by name."""
    return pl.col(SPLIT).replace_strict(_RANKS, default=_LAST, return_dtype=pl.Int8)


def _why_none(run: RunOfMetric, by_class: tuple[str, str, str] | None, by_method: str | None) -> str:
    groups = ", ".join(run.groups) or "none"
    parts = [f"no schema.json has a main metric for its groups ({groups})"]
    if by_class is not None:
        parts.append(f"{by_class[0]}, which HELM has for {run.scenario_class}, is not among its stats")
    else:
        parts.append(f"no table has one for {run.scenario_class}")
    if by_method is not None:
        parts.append(f"{by_method} is not among its stats")
    else:
        parts.append(f"no metric suits every run of method {run.method}")
    return "; ".join(parts)


@cache
def _main_by_class() -> dict[str, tuple[str, str, str]]:
    """Main metric, split and source, by scenario class: `get_metadata` of each scenario of HELM 0.5.16."""
    text = resources.files(__package__).joinpath("main_metrics.csv").read_text(encoding="utf-8")
    return {
        row["scenario_class"]: (row["metric"], row["split"], row["source"]) for row in csv.DictReader(text.splitlines())
    }
