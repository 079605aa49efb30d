"""Three small runs: their files, and what a cache has of them."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import api, batch_reader
from magnet_arrow.sources.file import FileStamp, SourceFile


def file_of(outputs: Path, run: str, name: str = "stats.json") -> Path:
    return outputs / "runs" / "made" / run / name


def set_mean(path: Path, mean: float) -> None:
    """Another value and, whatever the clock of the disk, another date."""
    stats = json.loads(path.read_text())
    stats[0]["mean"] = mean
    path.write_text(json.dumps(stats, indent=2))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))


def cached(cache: Path) -> list[str]:
    found: list[str] = Cache(cache).runs()["folder"].to_list()
    return found


def first_mean(cache: Path, run: str) -> float:
    rows = Cache(cache).scan("stats").filter(pl.col("magnet.run").str.ends_with(f"/{run}"), pl.col("magnet.row") == 0)
    mean: float = rows.collect()["stats.mean"].item()
    return mean


def rejected(report: api.IngestReport) -> list[str]:
    return [one.run for one in report.rejected]


def places(outputs: Path) -> tuple[RunPlace, ...]:
    return find_runs(outputs).places


def files_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files of a dump are opened, as `run/file`."""
    names: list[str] = []
    really = SourceFile.__init__

    def opening(self: SourceFile, folder: Path, name: str, run: str) -> None:
        names.append(f"{folder.name}/{name}")
        really(self, folder, name, run)

    fill = batch_reader._fill

    def filling(folder: str, stamp: FileStamp, room: memoryview) -> bool:
        names.append(f"{Path(folder).name}/{stamp.name}")
        return fill(folder, stamp, room)

    monkeypatch.setattr(SourceFile, "__init__", opening)
    monkeypatch.setattr(batch_reader, "_fill", filling)
    return names
