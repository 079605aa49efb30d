"""The bill of an ingest as text, and as JSON."""

from dataclasses import replace
from pathlib import Path

import pytest

from magnet_arrow.cli.bill import bill_facts, bill_text
from magnet_arrow.ingestion.bill import Bill, Files

BUCKET, LOCAL = "gs://bucket/lite", "/data/lite"
BILL = Bill(
    runs={(BUCKET, "v1"): 2},
    to_read=(Files(BUCKET, "v1", "stats.json", "", 2, 70_000_000_000),),
    left_out=(),
    cached_runs=0,
    cached_bytes=0,
    rejected=0,
    looked_at_bytes=0,
    requests=2,
    fetched_bytes=0,
    packed=0,
    packed_bytes=0,
    rates={},
    free_bytes=5_000_000_000,
    cache=Path("cache"),
)


def lines(bill: Bill) -> list[str]:
    return bill_text(bill).split("\n")


def test_what_is_not_so_is_not_said() -> None:
    assert lines(BILL) == [
        "to read   2 runs, 2 files, 70 GB",
        "from      gs://bucket/lite",
        "            v1  2 runs, 2 files, 70 GB",
        "files     stats.json  2 files, 70 GB",
        "cached    nothing of it",
        "requests  2 or more, one for each file",
        "disk      5 GB free for cache",
    ]


@pytest.mark.parametrize(
    ("sources", "time"),
    [
        ((BUCKET,), "about 33 minutes, at the 35 MB/s of the last ingest from a bucket"),
        ((LOCAL,), "about 12 minutes, at the 100 MB/s of the last ingest from this machine"),
        (
            (LOCAL, BUCKET),
            "about 45 minutes, at the 100 MB/s of the last ingest from this machine and the 35 MB/s of the last ingest "
            "from a bucket",
        ),
    ],
)
def test_the_time_is_that_at_the_last_rate_of_each_kind_of_source(sources: tuple[str, ...], time: str) -> None:
    to_read = tuple(Files(source, "v1", "stats.json", "", 2, 70_000_000_000) for source in sources)
    rates = {"bucket": 35_000_000.0, "local": 100_000_000.0}
    bill = replace(BILL, to_read=to_read, rates=rates)
    assert f"time      {time}" in lines(bill)
    seconds = sum({BUCKET: 2000, LOCAL: 700}[source] for source in sources)
    assert (bill_facts(bill)["seconds"], bill_facts(bill)["rates"]) == (seconds, rates)
    del rates["local" if sources[0] == LOCAL else "bucket"]
    unknown = replace(bill, rates=rates)
    assert not any(line.startswith("time") for line in lines(unknown))
    assert bill_facts(unknown)["seconds"] is None


def test_the_bill_says_what_was_fetched_before_and_what_cannot_be_resumed() -> None:
    bill = replace(BILL, fetched_bytes=120_000_000, packed=1, packed_bytes=3_000_000)
    assert lines(bill)[5:8] == [
        "requests  2 or more, one for each file",
        "          120 MB are here already: an earlier ingest has fetched them",
        "          stored compressed: 1 file, 3 MB; if the fetch of one breaks off, it starts over",
    ]
    facts = bill_facts(bill)
    assert (facts["fetched_bytes"], facts["packed"], facts["packed_bytes"]) == (120_000_000, 1, 3_000_000)


def test_a_folder_that_keeps_the_json_has_a_disk_of_its_own() -> None:
    bill = replace(BILL, keep_json=Path("kept"), keep_json_free_bytes=7_000_000_000)
    assert lines(bill)[-2:] == ["disk      5 GB free for cache", "          7 GB free for kept"]
    assert (bill_facts(bill)["keep_json"], bill_facts(bill)["keep_json_free_bytes"]) == ("kept", 7_000_000_000)
    assert (bill_facts(BILL)["keep_json"], bill_facts(BILL)["keep_json_free_bytes"]) == (None, None)


def test_of_very_many_suites_the_largest_are_shown() -> None:
    suites = tuple(Files(BUCKET, f"v{number}", "stats.json", "", 1, number) for number in range(100))
    shown = [line for line in lines(replace(BILL, to_read=suites)) if line.startswith(("from", "   "))]
    assert (len(shown), shown[1].split()[0], shown[-1].strip()) == (21, "v99", "and 81 more; --json has all")
