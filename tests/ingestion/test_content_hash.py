"""`content_hash`: a run whose files have other bytes under the same size and date is ingested again."""

import hashlib
import os
from pathlib import Path

import pytest
from makedump import THREE as NAMES

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.sources.file import FileStamp, content_digest
from magnet_arrow.storage import transaction
from magnet_arrow.storage.transaction import Transaction


def swap(path: Path, old: str, new: str) -> None:
    """Other bytes of the same length under the same date."""
    assert len(old) == len(new)
    status, text = path.stat(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def stats_of(outputs: Path, run: str) -> Path:
    return outputs / "runs" / "made" / run / "stats.json"


def means(cache: Path) -> list[float]:
    frame = Cache(cache).scan("stats").collect().sort("magnet.run", "magnet.row")
    found: list[float] = frame["stats.mean"].gather_every(2).to_list()
    return found


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_other_bytes_are_noticed(workers: int, outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1)
    assert ingest(outputs, cache, content_hash=True, workers=workers).runs == 3
    assert ingest(outputs, cache, content_hash=True).skipped == 3
    swap(stats_of(outputs, NAMES[1]), '"mean": 0.5', '"mean": 0.7')
    assert ingest(outputs, cache).skipped == 3  # by size and date nothing has changed
    assert means(cache) == [0.5, 0.5, 0.5]
    report = ingest(outputs, cache, content_hash=True)
    assert (report.runs, report.skipped) == (1, 2)
    assert means(cache) == [0.5, 0.7, 0.5]
    assert ingest(outputs, cache, content_hash=True).skipped == 3


def test_runs_taken_without_it_are_taken_once_more(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    assert ingest(outputs, cache, content_hash=True).runs == 3
    assert ingest(outputs, cache, content_hash=True).skipped == 3
    assert ingest(outputs, cache).skipped == 3
    assert means(cache) == [0.5, 0.5, 0.5]


def test_an_ingest_without_it_does_not_replace_what_has_a_digest(outputs: Path, cache: Path) -> None:
    """The other one commits while this one is at its first file."""

    def other(_: Progress, began: list[bool] = []) -> None:  # noqa: B006  (said once)
        if not began:
            began.append(True)
            assert ingest(outputs, cache, content_hash=True).runs == 3

    ingest(outputs, cache, progress=other)
    assert ingest(outputs, cache, content_hash=True).skipped == 3


def test_a_rejected_run_is_read_again_where_its_bytes_are_others(outputs: Path, cache: Path) -> None:
    bad = stats_of(outputs, NAMES[0])
    swap(bad, '"mean": 0.5', '"mean"; 0.5')
    assert len(ingest(outputs, cache, content_hash=True).rejected) == 1
    assert len(ingest(outputs, cache, content_hash=True).rejected) == 1
    swap(bad, '"mean"; 0.5', '"mean": 0.5')
    assert len(ingest(outputs, cache).rejected) == 1
    assert ingest(outputs, cache, content_hash=True).runs == 1
    assert Cache(cache).rejects().is_empty()


def test_bytes_that_change_while_they_are_read_are_noticed_next_time(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither size nor date tells; the digest was made before, so that it is not that of the rows."""
    path = stats_of(outputs, NAMES[0])
    really = transaction.commit_transaction

    def swapped(folder: Path, change: Transaction) -> object:
        if change.segment is not None:
            swap(path, '"mean": 0.5', '"mean": 0.7')
            monkeypatch.undo()
        return really(folder, change)

    monkeypatch.setattr(transaction, "commit_transaction", swapped)
    ingest(outputs, cache, content_hash=True)
    assert ingest(outputs, cache, content_hash=True).runs == 1
    assert means(cache) == [0.7, 0.5, 0.5]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_the_digest_is_of_names_sizes_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1]")
    (tmp_path / "b.json").write_bytes(b"{}")
    os.mkfifo(tmp_path / "pipe.json")  # is not waited for
    stamps = (FileStamp("a.json", 3, 7), FileStamp("b.json", 2, 7), FileStamp("pipe.json", 0, 7))
    text = b"6 a.json 3\n[1]6 b.json 2\n{}9 pipe.json 0\n"
    assert content_digest(tmp_path, stamps) == hashlib.blake2b(text, digest_size=16).hexdigest()
    missing = (FileStamp("none.json", 1, 7),)
    assert content_digest(tmp_path, missing) != content_digest(tmp_path, ())
