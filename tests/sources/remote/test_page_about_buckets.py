"""The page about HELM's bucket is run as it is, on a small bucket of that name."""

import json
import shutil
from pathlib import Path

import buckets
import public_bucket
import pytest
from test_readme import ROOT, SERVED, run_blocks

from magnet_arrow.sources.remote.catalog import CATALOG

pytest.importorskip("obstore")

VERSIONS = {
    "lite": {"v1.0.0": "my-suite/*", "v1.1.0": "my-suite/*philosophy*", "v1.2.0-rc1": "my-suite/*anatomy*owl*"},
    "mmlu": {"v1.0.0": "perturbed/*"},
}
"""Which runs of the demo are in each version of a benchmark."""


def lay_out(demo: Path, bucket: Path) -> None:
    """Write the bucket's objects into a folder, under their keys."""
    for benchmark, versions in VERSIONS.items():
        for version, pattern in versions.items():
            for run in demo.glob(f"runs/{pattern}/"):
                shutil.copytree(run, bucket / benchmark / "benchmark_output/runs" / version / run.name)
    released = {run.name: "v1.1.0" if "philosophy" in run.name else "v1.0.0" for run in demo.glob("runs/my-suite/*/")}
    release = bucket / "lite/benchmark_output/releases/v1.1.0"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps(released))
    (bucket / "assets").mkdir()
    (bucket / "assets/x.json").write_text("{}")


@pytest.mark.slow
def test_the_blocks_print_what_is_below_them(
    demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(demo_outputs, tmp_path / "bucket")
    with buckets.running("fake-gcs", tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.make_bucket(public_bucket.NAME)
        server.put_folder(public_bucket.NAME, tmp_path / "bucket")
        run_blocks(ROOT / "docs" / SERVED, demo_outputs, tmp_path, monkeypatch)
    CATALOG.forget()
