"""Reports and frames as text for people and as JSON for scripts.

`printing` escapes it: a completion may hold an escape sequence.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from magnet_arrow._text import as_options, as_size, counted
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RUN_FILES

if TYPE_CHECKING:
    from magnet_arrow.checks.json_diff import Difference
    from magnet_arrow.checks.validate import Findings, ValidationReport
    from magnet_arrow.checks.verify import VerifyReport
    from magnet_arrow.helm.releases import Era
    from magnet_arrow.ingestion.api import IngestReport
    from magnet_arrow.storage.maintenance.check import CheckReport
    from magnet_arrow.storage.maintenance.compact import Compacted

SHOWN = 5
"""Number of items of a list that are printed; --json prints all."""

_EVERY_RUN = frozenset(name.removesuffix(".json") for name in RUN_FILES)


def without_empty(frame: pl.DataFrame, *, keep: str) -> pl.DataFrame:
    """The columns that have a value in some row, and `keep`."""
    return frame.select(
        column.name for column in frame if column.name == keep or frame.is_empty() or column.null_count() < len(column)
    )


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON in ASCII, so that no character of a dump controls the terminal. NaN is written as in Python."""
    return json.dumps(value, default=str, indent=indent)


def rows_as_json(frame: pl.DataFrame) -> Iterator[str]:
    """One JSON object per row (NDJSON)."""
    return map(as_json, frame.iter_rows(named=True))


def csv_text(frame: pl.DataFrame) -> str:
    """A frame as CSV; lists and structs are JSON in it."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    texts = [
        pl.Series(name, [None if value is None else as_json(value) for value in frame[name].to_list()], pl.String)
        for name in nested
    ]
    return frame.with_columns(texts).write_csv()


def ingest_summary(report: "IngestReport") -> str:
    """What was ingested, in a few lines."""
    rows = ", ".join(f"{name} {count:,}" for name, count in shown_rows(report.rows).items())
    partial = f" ({report.partial:,} partial)" if report.partial else ""
    pruned = f", {report.pruned:,} pruned" if report.pruned else ""
    unchanged = f" ({report.skipped_partial:,} partial)" if report.skipped_partial else ""
    stale = f", {len(report.stale):,} stale" if report.stale else ""
    ingested = f"{report.runs:,} ingested{partial}, {report.skipped:,} unchanged{unchanged}"
    return _labelled(
        {
            "runs": f"{ingested}, {len(report.rejected):,} rejected{pruned}{stale}",
            "rows": rows if report.runs else "",
            "size": f"{as_size(report.bytes_in)} in, {as_size(report.bytes_out)} out",
            "seconds": f"{report.seconds:.1f}",
        }
    )


def _labelled(texts: Mapping[str, str]) -> str:
    """A line per text with its label in front; empty texts have no line."""
    texts = {label: text for label, text in texts.items() if text}
    width = max(8, *map(len, texts))
    return "\n".join(f"{label:<{width}}  {text}" for label, text in texts.items())


def lacking_text(report: "IngestReport") -> str:
    """What partial runs lack, and broken files of suites; empty if there are none."""
    if not report.lacking:
        return ""
    lines = first_of([rejected_text(one) for one in report.lacking], rest="; `magnet-arrow rejects` lists all")
    of = "partial runs" if report.partial or report.skipped_partial else "files of suites"
    return f"The cache lacks, of {of}:\n{lines}"


def stale_text(report: "IngestReport") -> str:
    """Which cached runs are stale, and how to remove them; empty if there are none."""
    if not report.stale:
        return ""
    n_runs = counted(len(report.stale), "cached run")
    lines = first_of([f"  {one.run}: {one.why}" for one in report.stale], rest="; `magnet-arrow ls` marks all")
    return (
        f"{n_runs} {'is' if len(report.stale) == 1 else 'are'} stale: the cache holds an older state.\n{lines}\n"
        "`magnet-arrow ingest PATH --prune` removes those that are gone, `magnet-arrow cache remove RUN` one, and "
        "`magnet-arrow cache remove --stale` all."
    )


def shown_rows(rows: Mapping[str, int]) -> dict[str, int]:
    """Rows by table, for the tables of every run and for others that have rows."""
    return {name: count for name, count in rows.items() if count or name in _EVERY_RUN}


def unexpected_lines(unexpected: Mapping[tuple[str, str], int]) -> list[str]:
    """Values that fit no column, one line per kind and JSON path, the most frequent first."""
    ordered = sorted(unexpected.items(), key=lambda item: -item[1])
    return [f"{what} {path} ({count:,} ×)" for (what, path), count in ordered]


def unexpected_facts(unexpected: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """The same for a script."""
    return [
        {"what": what, "file": path.partition(" ")[0], "json_path": path.partition(" ")[2], "count": count}
        for (what, path), count in unexpected.items()
    ]


def rejection(row: Mapping[str, Any]) -> str:
    """One row of `Cache.rejects()` in words, with a sample of the bytes at fault."""
    run = f"{row['suite']}/{row['folder']}".rstrip("/")
    known = {name: row[name] for name in ("file", "reason", "json_path", "byte", "hint")}
    return "\n".join(filter(None, [rejected_text(Rejected(run=run, **known)), sample_line(row)]))


def rejected_text(rejected: Rejected) -> str:
    """A rejection in words, for users of a shell."""
    return str(msgspec.structs.replace(rejected, hint=rejected.hint and as_options(rejected.hint)))


def sample_line(row: Mapping[str, Any]) -> str:
    """The range of bytes at fault, and its first bytes; empty if that is not known."""
    if not row["sample"]:
        return ""
    end = "" if row["end_byte"] is None else f"{row['end_byte']:,}"
    return f"  bytes {row['begin_byte']:,} to {end or 'the end'}: {row['sample']}"


def ingest_facts(report: "IngestReport") -> dict[str, Any]:
    """The report of an ingest as JSON, with every reason."""
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
    return _labelled(
        {
            "runs": f"{report.runs:,} compared, {len(report.rejected):,} rejected",
            "files": f"{report.files:,} compared, {report.exact:,} come back byte for byte ({report.exact_share:.0%})",
            "excluded": "; ".join(f"{count:,} ({reason})" for reason, count in sorted(reasons.items())),
            "values": f"{report.values:,} compared, {counted(report.n_differences, 'difference')}",
            "seconds": f"{report.seconds:.1f}",
        }
    )


def verify_reasons(report: "VerifyReport") -> list[str]:
    """Why a cache cannot replace its source: one text per difference, rejected run, or file with a loss."""
    losses = [f"{file.path}: {file.reason}." for file in report.not_covered if file.is_loss]
    return [*map(str, report.differences), *map(rejected_text, report.rejected), *losses]


def verify_facts(report: "VerifyReport") -> dict[str, Any]:
    """The report as JSON: the first 1,000 differences, and all files that were not compared."""
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
    """What was found in a source, in a few lines."""
    n_partial = sum(found.partial is not None for found in report.runs)
    n_rejected = len(report.rejected)
    partial = f" ({n_partial:,} of them can be ingested partially)" if n_partial else ""
    rows = ", ".join(f"{name} {count:,}" for name, count in shown_rows(report.rows).items())
    unexpected = f"{sum(report.unexpected.values()):,} values at {len(report.unexpected):,} JSON paths"
    return _labelled(
        {
            "runs": f"{len(report.runs):,}",
            "rejected": f"{n_rejected:,}{partial}",
            "suites": f"{len(report.suites):,} with files of their own" if report.suites else "",
            "rows": rows,
            "size": as_size(sum(found.size_bytes for found in (*report.runs, *report.suites))),
            "HELM": ", ".join(f"{release} ({count:,})" for release, count in report.releases.items()),
            "unexpected": unexpected if report.unexpected else "",
        }
    )


def findings_text(found: "Findings") -> str:
    """Everything that was found in one run."""
    lines = [rejected_text(found.rejected)] if found.rejected else [f"{found.suite}/{found.folder}:"]
    if found.rejected and (sample := sample_line(rejected_facts(found.rejected))):
        lines.append(sample)
    if found.partial is not None:
        lines.append(f"  With --partial the rest is ingested, without all of {', '.join(found.partial)}.")
    if found.era and found.era.is_mixed:
        lines.append(f"  HELM: {found.era}")
    return "\n".join([*lines, *(f"  {line}" for line in unexpected_lines(found.unexpected))])


def validation_facts(report: "ValidationReport") -> dict[str, Any]:
    """The report as JSON, run by run."""
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
    """What was found in one run, as JSON."""
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
    """First and last release; `mixed` if the files contradict each other."""
    return {"first": era.first, "last": era.last, "mixed": era.is_mixed}


def rejected_facts(rejected: "Rejected") -> dict[str, Any]:
    """A rejection as JSON, with the hint in options of the shell."""
    facts = {name: getattr(rejected, name) for name in rejected.__struct_fields__}
    return facts | {"hint": rejected.hint and as_options(rejected.hint)}


def check_summary(report: "CheckReport") -> str:
    """What a check read, and how much of it is damaged, on one line."""
    found = counted(len(report.damages), "damaged file") if report.damages else "no damage"
    return f"{counted(report.runs, 'run')}, {counted(report.files, 'file')}, {as_size(report.bytes)}: {found}."


def check_lines(report: "CheckReport") -> list[str]:
    """Each damaged file with the runs that it affects, and files that are no part of the cache."""
    lines = []
    for one in report.damages:
        affected = first_of([f"  {run}" for run in one.runs], rest=" runs; --json has all")
        lines.append(f"{one.what}\n{affected or '  No current run has rows in it.'}")
    return lines + [f"{path} is no part of the cache." for path in report.strays]


def check_facts(report: "CheckReport") -> dict[str, Any]:
    """The report of a check as JSON."""
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
    swept = f"; {files} no longer in use removed ({as_size(done.swept_bytes)})" if done.swept_files else ""
    return (
        f"{counted(done.segments_before, 'segment')} became {done.segments_after:,}, "
        f"{as_size(done.bytes_before)} became {as_size(done.bytes_after)}{swept}."
    )


def compact_facts(done: "Compacted") -> dict[str, Any]:
    """The report of a compaction as JSON."""
    return {**dataclasses.asdict(done), "damaged": list(done.damaged)}


def first_of(texts: Sequence[str], *, rest: str = "") -> str:
    """The first few texts, and how many more there are; `rest` says where to see them."""
    lines = list(texts[:SHOWN])
    if len(texts) > SHOWN:
        lines.append(f"… and {len(texts) - SHOWN:,} more{rest}.")
    return "\n".join(lines)
