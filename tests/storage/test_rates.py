"""How fast the last ingests were: kept apart for each kind of source, and lost without harm."""

from pathlib import Path

import pytest

from magnet_arrow.storage import rates
from magnet_arrow.storage.rates import keep_rate, read_rates


def test_the_last_rate_of_each_kind_is_kept(tmp_path: Path) -> None:
    assert read_rates(tmp_path) == {}
    keep_rate(tmp_path, "local", 100_000_000, 2.0)
    keep_rate(tmp_path, "bucket", 10_000_000, 1.0)
    keep_rate(tmp_path, "local", 60_000_000, 2.0)
    assert read_rates(tmp_path) == {"local": 30_000_000, "bucket": 10_000_000}
    assert [path.name for path in tmp_path.iterdir()] == ["rates.json"]


@pytest.mark.parametrize(("size_bytes", "seconds"), [(9_999_999, 5.0), (10_000_000, 0.9)])
def test_a_small_ingest_tells_no_rate(size_bytes: int, seconds: float, tmp_path: Path) -> None:
    keep_rate(tmp_path, "local", size_bytes, seconds)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "\xff", '{"local": "fast"}', '{"local": -1}', '{"local": 1e400}', '{"moon": 5e6}', "null"]
)
def test_whatever_else_the_file_holds_is_ignored_and_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / rates.FILE).write_bytes(text.encode("latin-1"))
    assert read_rates(tmp_path) == {}
    keep_rate(tmp_path, "local", 50_000_000, 5.0)
    assert read_rates(tmp_path) == {"local": 10_000_000}


def test_a_cache_that_cannot_be_written_goes_without(tmp_path: Path) -> None:
    keep_rate(tmp_path / "missing", "local", 50_000_000, 5.0)
    (tmp_path / rates.FILE).mkdir()
    keep_rate(tmp_path, "local", 50_000_000, 5.0)
    assert (read_rates(tmp_path), read_rates(tmp_path / "missing")) == ({}, {})
