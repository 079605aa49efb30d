"""The bill of an ingest as text for people and as JSON for scripts."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from magnet_arrow._text import about, as_size, counted

if TYPE_CHECKING:
    from magnet_arrow.ingestion.bill import Bill, Files


def bill_text(bill: "Bill") -> str:
    """What an ingest is going to read: in all, by suite and by file; what it leaves out; and what it takes."""
    labelled = {
        "to read": [f"{_runs(bill.n_runs)}, {_sum(bill.to_read)}"],
        "from": _first(list(_suites(bill))),
        "files": _first(_aligned(_files(bill))),
        "cached": [_cached(bill)],
        "rejected": list(_rejected(bill)),
        "left out": _first(list(_left_out(bill))),
        "requests": list(_requests(bill)),
        "time": list(_time(bill)),
        "disk": list(_disks(bill)),
    }
    return "\n".join(
        f"{'' if number else label:{_LABEL}}{line}"
        for label, lines in labelled.items()
        for number, line in enumerate(lines)
    )


def _disks(bill: "Bill") -> Iterator[str]:
    yield f"{as_size(bill.free_bytes)} free for {bill.cache}"
    if bill.keep_json_free_bytes is not None:
        yield f"{as_size(bill.keep_json_free_bytes)} free for {bill.keep_json}"


_LABEL, _SHOWN = 10, 20


def _first(lines: list[str]) -> list[str]:
    """As many lines as somebody reads."""
    n_more = len(lines) - _SHOWN
    return lines if n_more <= 1 else [*lines[:_SHOWN], f"and {n_more:,} more; --json has all"]


def _aligned(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Names, and behind each one what is said of it, in two columns."""
    lines = list(lines)
    width = max((len(name) for name, _ in lines), default=0)
    return [f"{name:{width}}  {text}" for name, text in lines]


def _cached(bill: "Bill") -> str:
    if not bill.cached_runs:
        return "nothing of it"
    return f"{_runs(bill.cached_runs)}, {as_size(bill.cached_bytes)}, unchanged: not read again"


def _rejected(bill: "Bill") -> Iterator[str]:
    if bill.rejected:
        yield f"{bill.rejected:,} runs or folders, as is known without reading them"


def _left_out(bill: "Bill") -> Iterator[str]:
    for (name, why), files in _grouped(bill.left_out, lambda one: (one.file, one.why)):
        yield f"{name}, {_sum(files)}: {why}"
    if bill.looked_at_bytes:
        yield f"To see whether pictures are embedded, {as_size(bill.looked_at_bytes)} are fetched."


def _requests(bill: "Bill") -> Iterator[str]:
    """What is asked of buckets, and what of it was fetched before or cannot be resumed."""
    if bill.requests:
        yield f"{bill.requests:,} or more, one for each file"
    if bill.fetched_bytes:
        yield f"{as_size(bill.fetched_bytes)} are here already: an earlier ingest has fetched them"
    if bill.packed:
        size = f"{counted(bill.packed, 'file')}, {as_size(bill.packed_bytes)}"
        yield f"stored compressed: {size}; if the fetch of one breaks off, it starts over"


def _time(bill: "Bill") -> Iterator[str]:
    if bill.seconds is not None:
        rates = (f"the {as_size(round(bill.rates[kind]))}/s of {_LAST[kind]}" for kind in bill.bytes_by_kind)
        yield f"about {about(bill.seconds)}, at {' and '.join(rates)}"


_LAST = {"bucket": "the last ingest from a bucket", "local": "the last ingest from this machine"}


def _runs(count: int) -> str:
    return counted(count, "run")


def _sum(files: Iterable["Files"]) -> str:
    files = list(files)
    return f"{counted(sum(one.files for one in files), 'file')}, {as_size(sum(one.bytes for one in files))}"


def _suites(bill: "Bill") -> Iterator[str]:
    """Each outputs folder, and below it its suites with their runs and files."""
    for source, of_source in _grouped(bill.to_read, lambda one: one.source):
        yield source
        yield from _aligned(
            (f"  {suite}", _runs_and_files(bill.runs.get((source, suite), 0), files))
            for suite, files in _grouped(of_source, lambda one: one.suite)
        )


def _runs_and_files(runs: int, files: Iterable["Files"]) -> str:
    return f"{_runs(runs)}, {_sum(files)}" if runs else _sum(files)


def _files(bill: "Bill") -> Iterator[tuple[str, str]]:
    for name, files in _grouped(bill.to_read, lambda one: one.file):
        yield name, _sum(files)


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
        "looked_at_bytes": bill.looked_at_bytes,
        "requests": bill.requests,
        "fetched_bytes": bill.fetched_bytes,
        "packed": bill.packed,
        "packed_bytes": bill.packed_bytes,
        "rates": bill.rates,
        "seconds": None if bill.seconds is None else round(bill.seconds, 1),
        "free_bytes": bill.free_bytes,
        "cache": str(bill.cache),
        "keep_json": None if bill.keep_json is None else str(bill.keep_json),
        "keep_json_free_bytes": bill.keep_json_free_bytes,
        "notes": list(bill.notes),
    }


def _facts(files: "Files") -> dict[str, Any]:
    facts = dataclasses.asdict(files)
    del facts["why"]
    return facts
