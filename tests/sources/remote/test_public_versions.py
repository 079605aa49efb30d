"""`helm://` on a real server that holds a bucket laid out like HELM's."""

from pathlib import Path

import public_bucket as made
import pytest
from buckets import Server

from magnet_arrow import HelmOutputs, HelmRuns, ingest, verify
from magnet_arrow.helm.public_bucket import PublicRuns, benchmarks, versions

pytest.importorskip("obstore")


@pytest.mark.slow
@pytest.mark.parametrize("server", ["fake-gcs"], indirect=True)
def test_versions_and_releases_are_ingested_as_from_a_folder(server: Server, tmp_path: Path) -> None:
    made.write(tmp_path / "bucket")
    server.make_bucket(made.NAME)
    for folder in (tmp_path / "bucket").iterdir():
        server.put_folder(made.NAME, folder, folder.name)
    assert benchmarks() == ["air-bench", "lite", "new"]
    assert versions("lite") == ["v1.11.0-rc1", "v1.10.0", "v1.9.0", "v1.0.0"]
    local = tmp_path / "bucket/lite/benchmark_output"
    cache = tmp_path / "cache"
    report = ingest("helm://lite", cache)
    assert (report.runs, report.rejected) == (2, ())
    assert ingest("helm://lite", cache).skipped == 2
    every = HelmOutputs("helm://lite", version="all", cache=cache)
    report = ingest(every, cache)
    assert (report.runs, report.skipped, len(report.notes)) == (3, 2, 2)
    paths = [local / "runs" / place.suite / place.folder for place in every.places]
    assert len(paths) == 5
    assert every.stats().equals(HelmRuns(paths, cache=tmp_path / "local").stats())
    verified = verify(every, cache)
    assert (verified.runs, list(map(str, verified.differences))) == (5, [])
    report = ingest(PublicRuns("lite", release="v1.10.0"), tmp_path / "release")
    released = HelmRuns(PublicRuns("lite", release="v1.10.0"), cache=tmp_path / "release")
    assert (report.runs, [(place.suite, place.folder) for place in released.places]) == (
        2,
        [("v1.0.0", "gsm:x,model=a"), ("v1.9.0", "mmlu:subject=a,model=a")],
    )
