"""Make the cache of schema version 1 that later versions must be able to read.

Run in the project's folder: `PYTHONPATH=. python tests/data/make_cache_v1.py`. It writes `cache_v1/source`, a small
invented dump with every kind of odd value, and `cache_v1/cache`, which was ingested from it. To be run by the code
that writes schema version 1, and never again once there is a version 2. What is of this machine is taken out: the
source's path, and the lock.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from makedump import Run, make_run, write_run

from magnet_arrow.ingestion.api import ingest
from magnet_arrow.schema import registry
from magnet_arrow.storage import manifest
from magnet_arrow.storage.manifest import Source

FOLDER = Path(__file__).parent / "cache_v1"


def runs() -> dict[str, Run]:
    """By folder: names with ':' are no names of files everywhere."""
    plain = make_run("tide:place=cove", n_instances=3)
    odd = make_run(
        "tide:place=straits",
        args={"subject": "tides", "a.b": 1, "": None, "deep": {"x": {"y": [1, None, 2.5]}}, "none": {}},
        extra_data=[{"n": 2**70, "list": [1, "1", None]}, {}, {"\ud83d": -0.0}],
        annotations=[{"judge": [{"score": 1, "why": None}]}],
        n_instances=4,
    )
    stats: list[dict[str, Any]] = odd["stats"]
    stats[0] |= {"mean": float("nan"), "max": float("inf"), "note": {"kept": [1]}}
    stats[1] |= {"sum_squared": 2**63 + 1, "min": "low"}
    odd["per_instance_stats"][1]["stats"] = []
    odd["per_instance_stats"][2]["instance_id"] = 7
    odd["scenario_state"]["request_states"][0]["result"]["completions"][0]["text"] = " \ud83d\u00e9\x00"
    odd["scenario_state"]["request_states"][1]["instance"]["input"] = "A plain text, as HELM 0.1.0 wrote it."
    partial = make_run("tide:place=bay")
    return {"tide-place=bay": partial, "tide-place=cove": plain, "tide-place=straits": odd}


def main() -> None:
    """Write the folder again."""
    assert registry.SCHEMA_VERSION == 1, "this cache is to be of schema version 1"
    shutil.rmtree(FOLDER, ignore_errors=True)
    source, cache = FOLDER / "source", FOLDER / "cache"
    for folder, run in runs().items():
        write_run(source, run, suite="v1", folder=folder)
    suite = source / "runs" / "v1"
    (suite / "tide-place=bay" / "per_instance_stats.json").unlink()
    (suite / "tide-place=cove" / "reeval_trajectory.json").write_text('{"model_ability": [0.5]}')
    (suite / "summary.json").write_text(json.dumps({"suite": "v1", "date": "2026-11-25"}, indent=2))
    ingest(source, cache, partial=True)
    path = cache / manifest.MANIFEST
    held = manifest.read_manifest(cache)
    sources = tuple(Source(source.id, "/dumps/cache_v1") for source in held.sources)
    path.write_bytes(manifest.encode(msgspec.structs.replace(held, sources=sources)))
    for file in cache.glob(f"{manifest.LOCK}*"):
        file.unlink()
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    print(f"{FOLDER}: {len(files)} files, {sum(file.stat().st_size for file in files):,} bytes")


if __name__ == "__main__":
    main()
