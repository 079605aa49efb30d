"""Which ingests tell a rate, and which one."""

import itertools
from pathlib import Path

import pytest
from makedump import make_run, write_runs

from magnet_arrow import Cache, ingest
from magnet_arrow.helm.run_place import place_of
from magnet_arrow.ingestion import measured_rate
from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.sources.stamps import FileStamp
from magnet_arrow.storage import rates
from magnet_arrow.storage.rates import read_rates


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ingest takes four seconds, and none is too small."""
    monkeypatch.setattr(measured_rate, "clock", itertools.count(0, 4).__next__)
    monkeypatch.setattr(rates, "MIN_BYTES", 1)


@pytest.mark.usefixtures("slow")
def test_the_rate_is_that_of_the_files_that_were_read(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    write_runs(outputs, [make_run(name) for name in ("a:x=1", "a:x=2", "b:x=1")])
    (bad,) = outputs.glob("runs/*/b:x=1")
    (bad / "stats.json").write_text("[")
    size = sum(file.stat().st_size for file in outputs.glob("runs/*/a:*/*.json"))
    assert ingest(outputs, tmp_path / "cache").runs == 2
    assert read_rates(tmp_path / "cache") == {"local": size / 4}
    kept = (tmp_path / "cache" / rates.FILE).read_bytes()
    assert ingest(outputs, tmp_path / "cache").skipped == 2
    assert (tmp_path / "cache" / rates.FILE).read_bytes() == kept, "nothing was read"
    assert Cache(tmp_path / "cache").check().strays == ()


def pending(run: str) -> PendingRun:
    return PendingRun(place_of(run), "source", (FileStamp("stats.json", 100, 0), FileStamp("runs.json", 900, 0)))


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("copies", "kept"), [((), {"bucket": 25.0}), (("0123456789abcdef",), {})])
def test_an_ingest_that_goes_on_with_copies_tells_no_rate(
    copies: tuple[str, ...], kept: dict[str, float], tmp_path: Path
) -> None:
    for name in copies:
        (tmp_path / "fetched").mkdir()
        (tmp_path / "fetched" / name).touch()
    run = pending("gs://bucket/runs/v1/a:x=1")
    with measured_rate.rate_measured(tmp_path, [run], []):
        pass
    assert read_rates(tmp_path) == kept
    with measured_rate.rate_measured(tmp_path, [run, pending(str(tmp_path))], []):
        pass
    assert read_rates(tmp_path) == kept, "of both kinds together"
