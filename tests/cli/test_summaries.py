import json

import polars as pl
import pytest

from magnet_arrow.cli.summaries import (
    as_json,
    first_of,
    ingest_facts,
    ingest_summary,
    rejection,
    rows_as_json,
    unexpected_lines,
    without_empty,
)
from magnet_arrow.errors import Rejected
from magnet_arrow.ingestion.api import IngestReport

REJECTED = Rejected(run="s/r", file="stats.json", reason="Not JSON.", byte=3)


def made_report(rejected: tuple[Rejected, ...] = ()) -> IngestReport:
    return IngestReport(
        runs=1200,
        rows={"run_spec": 1200, "stats": 34_567, "per_instance_stats": 0, "instances": 8, "groups": 0},
        bytes_in=9_876_543,
        bytes_out=1234,
        seconds=1.26,
        skipped=7,
        pruned=2,
        rejected=rejected,
        notes=("latest was skipped.",),
        unexpected={("unknown field", "stats.json $[].note"): 3, ("value of another type", "stats.json $[].mean"): 40},
        partial=3,
    )


def test_a_frame_is_shown_without_its_empty_columns() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": [None, None], "c": [None, None]})
    assert without_empty(frame, keep="c").columns == ["a", "c"]


def test_json_is_ascii_and_keeps_kinds() -> None:
    assert as_json({"a": [1, 1.0, True, None, "é\x1b\ud800"]}) == r'{"a": [1, 1.0, true, null, "\u00e9\u001b\ud800"]}'
    frame = pl.DataFrame({"x": [float("nan"), None], "l": [[1], None], "s": [{"k": 1.0}, {"k": None}]})
    lines = list(rows_as_json(frame))
    assert lines == ['{"x": NaN, "l": [1], "s": {"k": 1.0}}', '{"x": null, "l": null, "s": {"k": null}}']


def test_a_summary_counts_what_was_taken_and_what_not() -> None:
    assert ingest_summary(made_report((REJECTED,))).splitlines() == [
        "runs      1,200 ingested (3 partial), 7 unchanged, 1 rejected, 2 pruned",
        "rows      run_spec 1,200, stats 34,567, per_instance_stats 0, instances 8",
        "size      9.88 MB in, 1.23 kB out",
        "seconds   1.3",
    ]


def test_the_facts_are_json_and_complete() -> None:
    facts = json.loads(as_json(ingest_facts(made_report((REJECTED,)))))
    assert facts["rejected"] == [
        {
            "run": "s/r",
            "file": "stats.json",
            "reason": "Not JSON.",
            "json_path": None,
            "byte": 3,
            "expected": None,
            "found": None,
            "hint": None,
            "begin_byte": None,
            "end_byte": None,
            "sample": None,
        }
    ]
    assert (facts["runs"], facts["skipped"], facts["pruned"], facts["notes"]) == (
        1200,
        7,
        2,
        ["latest was skipped."],
    )


def test_what_no_column_holds_is_told_by_place_and_count() -> None:
    assert unexpected_lines(made_report().unexpected) == [
        "value of another type stats.json $[].mean (40 ×)",
        "unknown field stats.json $[].note (3 ×)",
    ]
    facts = ingest_facts(made_report())
    assert facts["odd"][0] == {"what": "unknown field", "file": "stats.json", "json_path": "$[].note", "count": 3}
    assert facts["partial"] == 3


def test_a_rejection_shows_what_stands_there() -> None:
    row = {
        "suite": "s",
        "folder": "r\x1b",
        "file": "stats.json",
        "reason": "Not JSON.",
        "json_path": "$[1]",
        "byte": 900,
    }
    range_ = {"begin_byte": 860, "end_byte": 2940, "sample": r"\x1b[2J"}
    assert rejection(row | {"hint": "Copy it."} | range_).splitlines() == [
        r"s/r\x1b/stats.json, byte 900, at $[1]:",
        "  Not JSON.",
        "  Copy it.",
        r"  bytes 860 to 2,940: \x1b[2J",
    ]
    nothing_known = dict.fromkeys(range_)
    assert len(rejection(row | {"hint": None} | nothing_known).splitlines()) == 2
    assert "860 to the end" in rejection(row | {"hint": None} | range_ | {"end_byte": None})


@pytest.mark.parametrize(
    ("count", "last"),
    [(0, None), (5, "4"), (6, "… and 1 more; look there."), (2005, "… and 2,000 more; look there.")],
)
def test_of_many_the_first_five_are_shown(count: int, last: str | None) -> None:
    lines = first_of(list(map(str, range(count))), rest="; look there").splitlines()
    assert lines[:5] == ["0", "1", "2", "3", "4"][:count]
    assert (lines[-1] if lines else None) == last
