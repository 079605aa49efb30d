"""What tests of `keep_json` say of a mirror, and of an ingest that has nothing to read."""

import os
from pathlib import Path

from magnet_arrow import Cache, IngestReport


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of all files below a folder, hidden ones too."""
    files = (Path(path, name) for path, _, names in os.walk(folder) for name in names)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def assert_nothing_read(report: IngestReport, n_runs: int) -> None:
    assert (report.runs, report.skipped, report.rejected, report.stale, report.bytes_in) == (0, n_runs, (), (), 0)


def n_rows(cache: Path) -> int:
    return int(Cache(cache).runs()["rows.stats"].sum())
