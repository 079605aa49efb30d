"""What the command line shows: frames, an ingest's report, its progress. Values in, something to print out.

All text goes through `for_terminal` and into `rich.text.Text`, which reads no markup: a run may be called
`mmlu:[/bold]x`, and a completion may hold an escape sequence.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from magnet_arrow._text import as_options, counted, for_terminal
from magnet_arrow.cli.tables import cell_text
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RUN_FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from magnet_arrow.checks.json_diff import Difference
    from magnet_arrow.checks.validate import Findings, ValidationReport
    from magnet_arrow.checks.verify import VerifyReport
    from magnet_arrow.export.parquet import ExportProgress
    from magnet_arrow.helm.releases import Era
    from magnet_arrow.ingestion.api import IngestReport
    from magnet_arrow.ingestion.rules import Progress
    from magnet_arrow.storage.maintenance.check import CheckReport
    from magnet_arrow.storage.maintenance.compact import Compacted

SHOWN = 5
"""So many of a kind are shown on the terminal, unless all are asked for."""

_MOST = 60
_EVERY_RUN = frozenset(name.removesuffix(".json") for name in RUN_FILES)


def plain(text: str) -> Text:
    """Our own words and a dump's, line by line, without markup."""
    return Text("\n".join(map(for_terminal, text.split("\n"))))


def table(frame: pl.DataFrame) -> Table:
    """A frame as it is: a row a row, a column a column, nothing left out."""
    shown = Table(box=None, pad_edge=False)
    for name, dtype in frame.schema.items():
        shown.add_column(plain(name), justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        shown.add_row(*map(_cell, row))
    return shown


def records(frame: pl.DataFrame) -> Table:
    """A wide frame turned over: a column a row, the first rows beside each other, long values cut."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("column", overflow="fold")
    shown.add_column("type", overflow="fold")
    for number in range(frame.height):
        shown.add_column(str(number), overflow="fold")
    for column in frame:
        values = [_cell(value, most=_MOST) for value in column]
        shown.add_row(plain(column.name), _cell(str(column.dtype), most=_MOST), *values)
    return shown


def without_empty(frame: pl.DataFrame, *, keep: str) -> pl.DataFrame:
    """The columns that have a value in some row, and `keep`."""
    return frame.select(
        column.name for column in frame if column.name == keep or frame.is_empty() or column.null_count() < len(column)
    )


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON in ASCII, so that no character of a dump acts on the terminal. NaN is written as Python does."""
    return json.dumps(value, default=str, indent=indent)


def rows_as_json(frame: pl.DataFrame) -> Iterator[str]:
    """One JSON object a row (NDJSON)."""
    return map(as_json, frame.iter_rows(named=True))


def ingest_summary(report: "IngestReport") -> str:
    """What an ingest took, in a few lines."""
    rows = ", ".join(f"{name} {count:,}" for name, count in shown_rows(report.rows).items())
    partial = f" ({report.partial:,} partial)" if report.partial else ""
    pruned = f", {report.pruned:,} pruned" if report.pruned else ""
    unchanged = f" ({report.skipped_partial:,} partial)" if report.skipped_partial else ""
    stale = f", {len(report.stale):,} stale" if report.stale else ""
    taken = f"{report.runs:,} taken{partial}, {report.skipped:,} unchanged{unchanged}"
    lines = [
        f"runs      {taken}, {len(report.rejected):,} rejected{pruned}{stale}",
        f"rows      {rows}" if report.runs else "",
        f"bytes     {report.bytes_in:,} in, {report.bytes_out:,} out",
        f"seconds   {report.seconds:.1f}",
    ]
    return "\n".join(filter(None, lines))


def lacking_text(report: "IngestReport") -> str:
    """What partial runs lack, and broken files beside runs; empty if there are none."""
    if not report.lacking:
        return ""
    told = first_of([rejected_text(one) for one in report.lacking], rest="; `magnet-arrow rejects` lists all")
    of = "partial runs" if report.partial or report.skipped_partial else "files beside runs"
    return f"Of {of} the cache lacks:\n{told}"


def stale_text(report: "IngestReport") -> str:
    """Which cached runs are stale, and what removes them; empty if there are none."""
    if not report.stale:
        return ""
    n_runs = counted(len(report.stale), "cached run")
    told = first_of([f"  {one.run}: {one.why}" for one in report.stale], rest="; `magnet-arrow ls` marks all")
    return (
        f"{n_runs} {'is' if len(report.stale) == 1 else 'are'} stale: the cache has what was there before.\n{told}\n"
        "`magnet-arrow ingest PATH --prune` removes those that are gone, `magnet-arrow cache remove RUN` one, and "
        "`magnet-arrow cache remove --stale` all."
    )


def shown_rows(rows: Mapping[str, int]) -> dict[str, int]:
    """Rows by table: the tables of every run, and of the others those that have some."""
    return {name: count for name, count in rows.items() if count or name in _EVERY_RUN}


def unexpected_lines(odd: Mapping[tuple[str, str], int]) -> list[str]:
    """What no column holds, a line a kind and place, what is met most first."""
    return [f"{what} {path} ({count:,} ×)" for (what, path), count in sorted(odd.items(), key=lambda item: -item[1])]


def unexpected_facts(odd: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """The same for a script."""
    return [
        {"what": what, "file": path.partition(" ")[0], "json_path": path.partition(" ")[2], "count": count}
        for (what, path), count in odd.items()
    ]


def rejection(row: Mapping[str, Any]) -> str:
    """One row of `Cache.rejects()` in words, with a sample of what stands there."""
    run = f"{row['suite']}/{row['folder']}".rstrip("/")
    known = {name: row[name] for name in ("file", "reason", "json_path", "byte", "hint")}
    return "\n".join(filter(None, [rejected_text(Rejected(run=run, **known)), sample_line(row)]))


def rejected_text(rejected: Rejected) -> str:
    """A rejection in words, for users of a shell."""
    return str(msgspec.structs.replace(rejected, hint=rejected.hint and as_options(rejected.hint)))


def sample_line(row: Mapping[str, Any]) -> str:
    """The range of bytes that is at fault, and how it begins; empty where that is not known."""
    if not row["sample"]:
        return ""
    end = "" if row["end_byte"] is None else f"{row['end_byte']:,}"
    return f"  bytes {row['begin_byte']:,} to {end or 'the end'}: {row['sample']}"


def ingest_facts(report: "IngestReport") -> dict[str, Any]:
    """The same, and every reason, for a script."""
    return {
        "runs": report.runs,
        "partial": report.partial,
        "skipped_partial": report.skipped_partial,
        "rows": dict(report.rows),
        "bytes_in": report.bytes_in,
        "bytes_out": report.bytes_out,
        "seconds": report.seconds,
        "skipped": report.skipped,
        "pruned": report.pruned,
        "rejected": [rejected_facts(rejected) for rejected in report.rejected],
        "lacking": [rejected_facts(lacking) for lacking in report.lacking],
        "stale": [{"run": one.run, "why": one.why} for one in report.stale],
        "odd": unexpected_facts(report.unexpected),
        "notes": list(report.notes),
    }


def verify_summary(report: "VerifyReport") -> str:
    """What a verification compared, in a few lines."""
    reasons = Counter(file.reason for file in report.not_covered)
    left_out = "; ".join(f"{count:,} ({reason})" for reason, count in sorted(reasons.items()))
    lines = [
        f"runs      {report.runs:,} compared, {len(report.rejected):,} rejected",
        f"files     {report.files:,} compared, {report.exact:,} come back byte for byte ({report.exact_share:.0%})",
        f"left out  {left_out}" if left_out else "",
        f"values    {report.values:,} compared, {counted(report.n_differences, 'difference')}",
        f"seconds   {report.seconds:.1f}",
    ]
    return "\n".join(filter(None, lines))


def verify_reasons(report: "VerifyReport") -> list[str]:
    """Why a cache can't stand in for its source, one text a difference, a rejected run, or a file with a loss."""
    losses = [f"{file.path}: {file.reason}." for file in report.not_covered if file.is_loss]
    return [*map(str, report.differences), *map(rejected_text, report.rejected), *losses]


def verify_facts(report: "VerifyReport") -> dict[str, Any]:
    """The same for a script: the first 1,000 differences, and all that was left out."""
    return {
        "is_equal": report.is_equal,
        "runs": report.runs,
        "files": report.files,
        "exact": report.exact,
        "values": report.values,
        "n_differences": report.n_differences,
        "differences": [difference_facts(difference) for difference in report.differences],
        "rejected": [rejected_facts(rejected) for rejected in report.rejected],
        "not_covered": [
            {"path": file.path, "reason": file.reason, "is_loss": file.is_loss} for file in report.not_covered
        ],
        "notes": list(report.notes),
        "seconds": report.seconds,
    }


def difference_facts(difference: "Difference") -> dict[str, Any]:
    """A difference's attributes by name."""
    where = difference.where
    return {
        "run": where.run,
        "file": where.file,
        "json_path": where.json_path,
        "source": difference.source,
        "cache": difference.cache,
    }


def validation_summary(report: "ValidationReport") -> str:
    """What was found in a source in sum, in a few lines."""
    takeable = sum(found.partial is not None for found in report.runs)
    n_rejected = len(report.rejected)
    partial = f" ({takeable:,} of them could go in partially)" if takeable else ""
    rows = ", ".join(f"{name} {count:,}" for name, count in shown_rows(report.rows).items())
    eras = ", ".join(f"{era} ({count:,})" for era, count in report.releases.items())
    lines = [
        f"runs      {len(report.runs):,}",
        f"rejected  {n_rejected:,}{partial}",
        f"suites    {len(report.suites):,} with files beside their runs" if report.suites else "",
        f"rows      {rows}",
        f"bytes     {sum(found.size_bytes for found in (*report.runs, *report.suites)):,}",
        f"HELM      {eras}" if eras else "",
        f"odd       {sum(report.unexpected.values()):,} values at {len(report.unexpected):,} places"
        if report.unexpected
        else "",
    ]
    return "\n".join(filter(None, lines))


def findings_text(found: "Findings") -> str:
    """What there is to say about one run, in full."""
    lines = [rejected_text(found.rejected)] if found.rejected else [f"{found.suite}/{found.folder}:"]
    if found.rejected and (sample := sample_line(rejected_facts(found.rejected))):
        lines.append(sample)
    if found.partial is not None:
        lines.append(f"  With --partial the rest goes in, without all of {', '.join(found.partial)}.")
    if found.era and found.era.is_mixed:
        lines.append(f"  HELM: {found.era}")
    return "\n".join([*lines, *(f"  {line}" for line in unexpected_lines(found.unexpected))])


def validation_facts(report: "ValidationReport") -> dict[str, Any]:
    """The same, run by run, for a script."""
    return {
        "clean": report.is_clean,
        "rows": report.rows,
        "odd": unexpected_facts(report.unexpected),
        "eras": [{"helm": era_facts(era), "runs": count} for era, count in report.releases.items()],
        "notes": list(report.notes),
        "unreadable": [rejected_facts(rejected) for rejected in report.unreadable],
        "runs": [findings_facts(found) for found in report.runs],
        "suites": [findings_facts(found) for found in report.suites],
    }


def findings_facts(found: "Findings") -> dict[str, Any]:
    """What was found of one run, by name."""
    return {
        "path": str(found.path),
        "suite": found.suite,
        "folder": found.folder,
        "name": found.name,
        "size_bytes": found.size_bytes,
        "rows": found.rows,
        "odd": unexpected_facts(found.unexpected),
        "helm": found.era and era_facts(found.era),
        "rejected": found.rejected and rejected_facts(found.rejected),
        "partial": found.partial,
        "not_kept": found.not_kept,
    }


def era_facts(era: "Era") -> dict[str, Any]:
    """First and last release; `mixed` where they contradict each other."""
    return {"first": era.first, "last": era.last, "mixed": era.is_mixed}


def rejected_facts(rejected: "Rejected") -> dict[str, Any]:
    """A rejection's attributes by name, for scripts in a shell."""
    facts = {name: getattr(rejected, name) for name in rejected.__struct_fields__}
    return facts | {"hint": rejected.hint and as_options(rejected.hint)}


def check_summary(report: "CheckReport") -> str:
    """What a check looked at, and how much of it is damaged, on one line."""
    found = counted(len(report.damages), "damaged file") if report.damages else "no damage"
    return f"{counted(report.runs, 'run')}, {counted(report.files, 'file')}, {counted(report.bytes, 'byte')}: {found}."


def check_lines(report: "CheckReport") -> list[str]:
    """Each damaged file with the runs that it affects, and what lies about."""
    lines = []
    for one in report.damages:
        affected = first_of([f"  {run}" for run in one.runs], rest=" runs; --json has all")
        lines.append(f"{one.what}\n{affected or '  No run that counts has rows there.'}")
    return lines + [f"{path} is no part of the cache." for path in report.strays]


def check_facts(report: "CheckReport") -> dict[str, Any]:
    """The same for programs."""
    damages = [
        {"file": one.file, "what": one.what, "keys": list(one.keys), "runs": list(one.runs)} for one in report.damages
    ]
    return {
        "runs": report.runs,
        "files": report.files,
        "bytes": report.bytes,
        "damages": damages,
        "strays": list(report.strays),
    }


def compact_summary(done: "Compacted") -> str:
    """What compacting did, on one line."""
    files = counted(done.swept_files, "file")
    swept = f"; {files} out of use removed ({done.swept_bytes:,} bytes)" if done.swept_files else ""
    return (
        f"{counted(done.segments_before, 'segment')} became {done.segments_after:,}, "
        f"{done.bytes_before:,} bytes became {done.bytes_after:,}{swept}."
    )


def compact_facts(done: "Compacted") -> dict[str, Any]:
    """The same for programs."""
    return {**dataclasses.asdict(done), "damaged": list(done.damaged)}


def first_of(texts: Sequence[str], *, rest: str = "") -> str:
    """The first few of `texts`, and how many more there are; `rest` says where they are."""
    lines = list(texts[:SHOWN])
    if len(texts) > SHOWN:
        lines.append(f"… and {len(texts) - SHOWN:,} more{rest}.")
    return "\n".join(lines)


@contextmanager
def progress_bar(console: Console) -> "Iterator[Callable[[Progress], None] | None]":
    """A bar on a terminal, with bytes, rate and time left; None where nobody would see it move."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[runs]}", markup=False),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, runs="")

        def show(state: "Progress") -> None:
            runs = f"run {state.runs_done:,} of {state.runs_total:,}"
            rejected = f", {state.rejected:,} rejected" if state.rejected else ""
            bar.update(task, completed=state.bytes_done, total=state.bytes_total, runs=runs + rejected)

        yield show


@contextmanager
def rows_bar(console: Console) -> "Iterator[Callable[[ExportProgress], None] | None]":
    """A bar on a terminal, with rows and the table in hand; None where nobody would see it move."""
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.fields[table]}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, table="")

        def show(state: "ExportProgress") -> None:
            bar.update(task, completed=state.rows_done, total=state.rows_total, table=state.table)

        yield show


def _cell(value: Any, *, most: int | None = None) -> Text:
    if value is None:
        return Text(cell_text(value), style="dim")
    text = cell_text(value)
    if most and len(text) > most:
        text = text[: most - 1] + "…"
    return Text(for_terminal(text))
