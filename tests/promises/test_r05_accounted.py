"""R5: everything is accounted for. Per file, elements in = rows out + rejected, counted here by Python's `json`."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.decode import limits
from magnet_arrow.ingestion import run_reader
from magnet_arrow.ingestion.api import ingest

DUMPS = ["helm_made", "helm_old", "modelbench", "eee", "bbq", "classic_022"]
Shared = Callable[[str], Path]


def counted(file: Path) -> tuple[int, int]:
    """Elements of a file, and entries of per-instance stats that have none."""
    value: Any = json.loads(file.read_text("utf-8"))
    if file.name == "scenario_state.json":
        return len(value["request_states"]), 0
    if file.name == "per_instance_stats.json":
        return sum(len(entry["stats"]) for entry in value), sum(not entry["stats"] for entry in value)
    return (len(value) if isinstance(value, list) else 1), 0


def told(cache: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file that the cache tells of, and what it tells."""
    for row in Cache(cache).files().iter_rows(named=True):
        folders = [Path(row["source"], *level, row["suite"], row["folder"]) for level in (("runs",), ())]
        yield next(folder for folder in folders if folder.is_dir()) / row["file"], row


@pytest.mark.shared
@pytest.mark.parametrize("dump", DUMPS)
def test_every_element_of_a_dump_is_a_row(shared_dumps: Shared, tmp_path: Path, dump: str) -> None:
    report = ingest(shared_dumps(dump), tmp_path / "cache", partial=True)
    files = list(told(tmp_path / "cache"))
    assert len({file.parent for file, _ in files}) == report.runs > 0
    for file, row in files:
        assert (row["elements"], row["without_rows"]) == counted(file), file
        assert (row["rows"], row["rejected"]) == (row["elements"], 0)
    for table in ("scenario_state", "stats", "per_instance_stats", "instances", "display_predictions"):
        assert sum(row["rows"] for _, row in files if row["table"] == table) == report.rows[table]
        assert Cache(tmp_path / "cache").scan(table).select(pl.len()).collect().item() == report.rows[table]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = make_run("tide:n=1", n_instances=60)
    made["per_instance_stats"][3]["stats"] = []
    return write_run(tmp_path / "outputs", made)


@pytest.mark.parametrize("block", [limits.BLOCK_BYTES, 4096], ids=["whole", "in blocks"])
@pytest.mark.parametrize("name", ["scenario_state.json", "stats.json", "per_instance_stats.json"])
@pytest.mark.parametrize("share", [pytest.param(0.35, marks=pytest.mark.slow), 0.8])
def test_what_a_cut_file_loses_is_rejected(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, name: str, share: float
) -> None:
    """The element that the file ends in is rejected, what is whole before it goes in, each element once."""
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", block)
    file = run / name
    whole = {path.name: counted(path) for path in run.iterdir()}
    size = int(file.stat().st_size * share)
    os.truncate(file, size)
    report = ingest(run, tmp_path / "cache", partial=True)
    assert (report.runs, report.partial, report.rejected) == (1, 1, ())
    (left,) = Cache(tmp_path / "cache").rejects().iter_rows(named=True)
    assert (left["file"], left["left_out"], left["end_byte"]) == (name, "rest of file", size)
    tail = file.read_bytes()[left["begin_byte"] :].decode()
    assert tail.lstrip().startswith("{")
    with pytest.raises(ValueError, match=r"^[A-Z]"):
        json.loads(tail)
    taken = json.loads(
        file.read_bytes()[: left["begin_byte"]].decode().rstrip().rstrip(",") + "]" + "}" * ("state" in name)
    )
    (run / "taken").mkdir()
    (run / "taken" / name).write_text(json.dumps(taken))
    n_whole, _ = counted(run / "taken" / name)
    last = len(taken["request_states"] if isinstance(taken, dict) else taken)
    assert left["json_path"].endswith(f"[{last}]")
    for path, row in told(tmp_path / "cache"):
        expected = (n_whole + 1, 1) if path.name == name else (whole[path.name][0], 0)
        assert (row["elements"], row["rejected"]) == expected
        assert row["rows"] == row["elements"] - row["rejected"]
        stored = Cache(tmp_path / "cache").scan(row["table"]).select("magnet.row").collect()["magnet.row"]
        assert stored.sort().to_list() == list(range(row["rows"]))


def test_a_long_run_may_lack_a_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", 4096)
    (run / "scenario_state.json").unlink()
    report = ingest(run, tmp_path / "cache", partial=True)
    assert (report.runs, report.partial, report.rejected) == (1, 1, ())
    assert Cache(tmp_path / "cache").runs()["missing"].to_list() == [["scenario_state.json"]]


def test_a_rejected_run_has_a_range_and_a_sample(run: Path, tmp_path: Path) -> None:
    file = run / "stats.json"
    text = file.read_bytes()
    at = text.index(b'"count"')
    file.write_bytes(text[:at] + b"\x1b\xff" + text[at:])
    report = ingest(run, tmp_path / "cache")
    (row,) = Cache(tmp_path / "cache").rejects().iter_rows(named=True)
    assert (row["left_out"], row["begin_byte"], row["end_byte"]) == ("run", row["byte"] - 40, row["byte"] + 40)
    assert row["begin_byte"] < at < row["end_byte"]
    assert r'\x1b\xff"count"' in row["sample"]
    assert row["sample"] == report.rejected[0].sample
    assert Cache(tmp_path / "cache").files().is_empty()
