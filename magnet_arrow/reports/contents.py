"""The section that says what is in a dump: suites, scenarios, releases of HELM, and runs that cannot be read."""

from collections import Counter
from collections.abc import Iterable

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.helm.releases import ALWAYS_WRITTEN, Era, era_of
from magnet_arrow.pages import Block, Paragraph, Section, Table
from magnet_arrow.predictions.metrics import METRIC, SPLIT
from magnet_arrow.reports.dump import Dump
from magnet_arrow.reports.labels import LABEL
from magnet_arrow.schema.registry import RUN_TABLES
from magnet_arrow.storage.snapshot import CachedRun

MAX_REJECTED = 50
_ADAPTER = "run_spec.adapter_spec."


def contents(dump: Dump) -> Section:
    """Suites, scenarios and releases, of the readable runs; then those that are not."""
    n_rejected = len({one.place.path for one in dump.left_out if one.what == "run"})
    n_partial = sum(run.entry.is_partial for run in dump.cached_runs)
    counts = {
        "complete runs": len(dump.cached.keys) - n_partial,
        "incomplete runs, read in part": n_partial,
        "rejected runs, incomplete ones too": n_rejected,
        "models": len(dump.models),
        "scenarios": dump.scores["scenario"].n_unique() if dump.scores.width else 0,
    }
    frame = pl.DataFrame({"what": list(counts), "number": list(counts.values())})
    blocks: list[Block] = [Table(frame, "Numbers")]
    if dump.scores.width:
        blocks += [Table(_suites(dump), "Suites"), Table(_scenarios(dump), "Scenarios"), Table(_releases(dump), _HELM)]
    return Section("What is in it", [*blocks, *_unread(dump)])


_HELM = "Releases of HELM that may have written the runs, as far as their fields tell"


def _suites(dump: Dump) -> pl.DataFrame:
    groups = dump.scores.group_by("source", "suite", maintain_order=True).agg(
        pl.len().alias("runs"),
        pl.col("model").n_unique().alias("models"),
        pl.col(LABEL).n_unique().alias("variants of scenarios"),
    )
    several = groups["suite"].is_duplicated().any()
    return groups.select("suite", *(["source"] if several else []), "runs", "models", "variants of scenarios")


def _scenarios(dump: Dump) -> pl.DataFrame:
    """One row per scenario and main metric; subjects and other arguments are counted."""
    scenario = pl.col("scenario").fill_null("–")
    return (
        dump.scores.group_by(scenario, METRIC, SPLIT)
        .agg(
            pl.len().alias("runs"),
            pl.col("model").n_unique().alias("models"),
            pl.col(LABEL).n_unique().alias("variants"),
            pl.col("n").sum().alias("answers"),
        )
        .sort("scenario", METRIC, SPLIT)
        .rename({METRIC: "main metric"})
    )


def _releases(dump: Dump) -> pl.DataFrame:
    eras = Counter(map(_era, dump.cached_runs))
    return pl.DataFrame(
        {"HELM": [str(era) for era in sorted(eras)], "runs": [eras[era] for era in sorted(eras)]},
        schema={"HELM": pl.String, "runs": pl.Int64},
    )


def releases_text(dump: Dump) -> str:
    """The releases on one line."""
    return "; ".join(_releases(dump)["HELM"]) if dump.cached.keys else ""


def _era(run: CachedRun) -> Era:
    """The releases that may have written a run, by the columns that it has."""
    spans: set[tuple[str, str | None]] = set()
    fields: set[str] = set()
    for table in RUN_TABLES:
        occurs = run.occurs(table.name)
        there = [column for bit, column in enumerate(table.columns) if occurs >> bit & 1]
        fields.update(column.name for column in there)
        spans.update((column.since, column.until) for column in there if column.since)
    has_adapter = any(name.startswith(_ADAPTER) for name in fields)
    absent = [since for name, since in ALWAYS_WRITTEN.items() if _ADAPTER + name not in fields]
    return era_of(spans, absent if has_adapter else ())


def _unread(dump: Dump) -> Iterable[Block]:
    """Runs that are not in this report, or not all of them, with the reasons."""
    left_out = dump.left_out
    if not left_out:
        yield Paragraph("All runs could be read.")
        return
    rows = [
        (f"{one.place.suite}/{one.place.folder}", _LEFT_OUT[one.what], _reason(one.rejected.file, one.rejected.reason))
        for one in left_out[:MAX_REJECTED]
    ]
    more = f", the first {MAX_REJECTED}" if len(left_out) > MAX_REJECTED else ""
    schema = {"run": pl.String, "not in this report": pl.String, "reason": pl.String}
    yield Table(
        pl.DataFrame(rows, schema=schema, orient="row"),
        f"{counted(len(left_out), 'rejected or incomplete part')}{more}",
    )


_LEFT_OUT = {"run": "the run", "file": "a file", "rest of file": "the rest of a file", "newer state": "its newer state"}


def _reason(file: str, reason: str) -> str:
    return f"{file}: {reason}" if file else reason
