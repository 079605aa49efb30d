"""After a fork a child works, or says at once why it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")

# What is tried in a child, by name; `runs` and `cache` are from before the fork, where they could be.
ACTIONS = {
    "ingest": "magnet.ingest(demo, own, workers=1).runs",
    "ingest by two": "magnet.ingest(demo, own, workers=2).runs",
    "ingest again": "magnet.ingest(demo, cache).skipped",
    "frame": "runs.stats().height",
    "new frame": "magnet.HelmRuns(demo, cache=own).stats().height",
    "filter": 'len(runs.filter(pl.col("run_spec.name") != ""))',
    "draw": "magnet.Predictor(num_eval_samples=2, cache=cache).prepare_predict_inputs(runs)[0].stats.height",
    "table": 'sum(batch.num_rows for batch in runs.table("stats"))',
    "scan": 'magnet.Cache(cache).scan("stats").collect().height',
    "runs": "magnet.Cache(cache).runs().height",
    "check": "len(magnet.Cache(cache).check().damages)",
    "compact": "magnet.Cache(cache).compact().segments_after",
    "validate": "len(magnet.validate(demo).runs)",
    "verify": "magnet.verify(demo, cache).is_equal",
    "export": 'export_tables(magnet.Cache(cache), Path(own) / "export")',
    "json": "len(runs[0].json.stats())",
}
SCRIPT = """
import os, signal, sys
from pathlib import Path
import magnet_arrow as magnet
import polars as pl
from magnet_arrow.export.parquet import export_tables

demo, tmp, is_used, actions = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "used", eval(sys.argv[4])
cache = tmp + "/cache"
runs = magnet.HelmRuns(demo / "runs" / "my-suite", cache=cache)
if is_used:
    runs.stats()
    magnet.ingest(demo, cache)
for number, (name, action) in enumerate(actions.items()):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # so that a child that hangs ends
        own = f"{tmp}/own {number}"
        try:
            print(name, "->", eval(action))
        except magnet.errors.ForkedError as error:
            print(name, "-> ForkedError", "spawn" in error.hint)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, name
"""


def after_fork(demo: Path, tmp_path: Path, how: str, actions: dict[str, str]) -> dict[str, str]:
    """What each action gives, in a child of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT]
    ended = subprocess.run([*command, demo, tmp_path, how, repr(actions)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return dict(line.split(" -> ", 1) for line in ended.stdout.splitlines())


def test_a_child_of_a_process_that_has_used_frames_says_why_it_has_none(demo_outputs: Path, tmp_path: Path) -> None:
    given = after_fork(demo_outputs, tmp_path, "used", ACTIONS)
    without_polars = {"check": "0", "compact": "1", "json": "89"}
    assert given == dict.fromkeys(ACTIONS, "ForkedError True") | without_polars


@pytest.mark.slow
def test_a_child_of_a_process_that_has_only_imported_works(demo_outputs: Path, tmp_path: Path) -> None:
    names = ("ingest", "ingest by two", "new frame", "frame", "filter", "validate")
    given = after_fork(demo_outputs, tmp_path, "fresh", {name: ACTIONS[name] for name in names})
    # 9 runs; 89 stats of each of the four of my-suite, whose frame is asked for.
    assert (given["ingest"], given["ingest by two"], given["validate"]) == ("9", "9", "9")
    assert (given["frame"], given["filter"]) == (str(4 * 89), "4")
    assert int(given["new frame"]) > 4 * 89


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import magnet_arrow as magnet

def ingest(cache):
    return magnet.ingest(sys.argv[1], cache, workers=2).runs

if __name__ == "__main__":
    demo, tmp = sys.argv[1:]
    with multiprocessing.get_context("fork").Pool(1) as workers:
        print(workers.apply(ingest, (tmp + "/a",)))
    print(magnet.HelmRuns(demo, cache=tmp + "/b").run_spec().height)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        try:
            magnet.ingest(demo, tmp + "/c", executor=executor)
        except magnet.errors.ForkedError as error:
            print("ForkedError")
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        print(workers.apply(ingest, (tmp + "/d",)))
"""


@pytest.mark.slow
def test_workers_of_pools_ingest_by_themselves_or_say_why_not(demo_outputs: Path, tmp_path: Path) -> None:
    script = tmp_path / "pools.py"
    script.write_text(POOL)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", script, demo_outputs, tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.stdout.split() == ["9", "9", "ForkedError", "9"], ended.stderr
