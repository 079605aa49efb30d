"""The bill of an ingest as text for people and as JSON for scripts."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from magnet_arrow._text import as_size, counted

if TYPE_CHECKING:
    from magnet_arrow.ingestion.bill import Bill, Files


def bill_text(bill: "Bill") -> str:
    """What an ingest is going to read: in all, by suite and by file; what it leaves out; and what it takes."""
    lines = [f"to read   {_runs(bill.n_runs)}, {_sum(bill.to_read)}"]
    lines += [f"suite     {name}: {_runs(runs)}, {_sum(files)}" for name, runs, files in _suites(bill)]
    lines += [f"file      {name}: {_sum(files)}" for name, files in _grouped(bill.to_read, lambda one: one.file)]
    lines.append(f"cached    {_runs(bill.cached_runs)}, {as_size(bill.cached_bytes)}, as they are now")
    if bill.rejected:
        lines.append(f"rejected  {bill.rejected:,} runs or folders, as is known without reading them")
    left = _grouped(bill.left_out, lambda one: f"{one.file} ({one.why})")
    lines += [f"left out  {name}: {_sum(files)}" for name, files in left]
    if bill.requests:
        lines.append(f"requests  {bill.requests:,} at least, one for each file")
    lines.append(f"disk      {as_size(bill.free_bytes)} free for {bill.cache}")
    return "\n".join(lines)


def _runs(count: int) -> str:
    return counted(count, "run")


def _sum(files: Iterable["Files"]) -> str:
    files = list(files)
    return f"{counted(sum(one.files for one in files), 'file')}, {as_size(sum(one.bytes for one in files))}"


def _suites(bill: "Bill") -> Iterator[tuple[str, int, list["Files"]]]:
    """Each suite with its runs and files; with its outputs folder where there are several."""
    several = len({one.source for one in bill.to_read}) > 1
    for (source, suite), files in _grouped(bill.to_read, lambda one: (one.source, one.suite)):
        yield f"{source} {suite}" if several else suite, bill.runs.get((source, suite), 0), files


def _grouped(files: Iterable["Files"], key: Callable[["Files"], Any]) -> list[tuple[Any, list["Files"]]]:
    """The files by a key, the largest in all first."""
    groups: dict[Any, list[Files]] = {}
    for one in files:
        groups.setdefault(key(one), []).append(one)
    return sorted(groups.items(), key=lambda item: -sum(one.bytes for one in item[1]))


def bill_facts(bill: "Bill") -> dict[str, Any]:
    """The bill as JSON."""
    return {
        "runs": bill.n_runs,
        "files": bill.n_files,
        "bytes": bill.n_bytes,
        "suites": [{"source": source, "suite": suite, "runs": runs} for (source, suite), runs in bill.runs.items()],
        "to_read": [_facts(one) for one in bill.to_read],
        "left_out": [dataclasses.asdict(one) for one in bill.left_out],
        "cached_runs": bill.cached_runs,
        "cached_bytes": bill.cached_bytes,
        "rejected": bill.rejected,
        "requests": bill.requests,
        "free_bytes": bill.free_bytes,
        "cache": str(bill.cache),
        "notes": list(bill.notes),
    }


def _facts(files: "Files") -> dict[str, Any]:
    facts = dataclasses.asdict(files)
    del facts["why"]
    return facts
