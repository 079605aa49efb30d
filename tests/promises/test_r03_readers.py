"""R3: a reader sees one commit, and a frame stays what it was while the cache moves on."""

from pathlib import Path

import pytest
from makedump import make_run, write_runs
from makesegment import commit_runs, key_of
from polars.testing import assert_frame_equal
from processes import PACKAGE, start
from reading import cached_places
from reference import TABLES

from magnet_arrow.cache import Cache
from magnet_arrow.errors import SnapshotExpiredError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.storage.maintenance.clear import clear
from magnet_arrow.storage.transaction import Transaction, commit_transaction

FOLDERS = "abcd"
# All runs are replaced in one commit, again and again; in between they are merged with others, and pruned.
WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{package!r}, {tests!r}]
from makesegment import commit_runs, key_of
from magnet_arrow.storage.maintenance import compact as compaction
from magnet_arrow.storage.transaction import Transaction, commit_transaction
from magnet_arrow.cache import Cache
compaction.MAX_SMALL = 2
cache = Path({cache!r})
for version in range(1, {versions} + 1):
    snapshot = commit_runs(cache, {{name: [version] * 3 for name in "ab"}}, {{name: [version] for name in "cd"}},
                           state=version)
    compaction.merge_due(commit_runs(cache, {{f"other{{version}}": [0]}}, source="s1"))
    if version % 5 == 0:
        commit_transaction(cache, Transaction(pruned=[key_of(f"other{{version}}", "s1")]))
        Cache(cache).compact()
"""


@pytest.mark.slow
def test_a_reader_in_a_loop_beside_a_writer_in_a_loop(tmp_path: Path) -> None:
    cache, versions = tmp_path / "cache", 20
    commit_runs(cache, {name: [0] * 3 for name in "ab"}, {name: [0] for name in "cd"})
    tests = str(Path(__file__).parents[1])
    child = start(WRITER.format(package=PACKAGE, tests=tests, cache=str(cache), versions=versions))
    met, ended = [], False
    while not ended:
        ended = child.poll() is not None  # once more after its end
        snapshot = Cache(cache).snapshot()
        means = (
            select_runs(snapshot, "stats", [key_of(name) for name in FOLDERS]).lazy().collect()["stats.mean"].to_list()
        )
        assert len(means) == 8, means
        assert len(set(means)) == 1, "rows of two commits"
        met.append(means[0])
    assert (child.returncode, child.communicate()[1]) == (0, "")
    assert met == sorted(met)
    assert met[-1] == versions
    assert Cache(cache).check().damages == ()


def test_a_frame_of_before_is_collected_after_whatever_came(tmp_path: Path) -> None:
    outputs, cache = tmp_path / "outputs", tmp_path / "cache"
    for number in range(3):
        write_runs(outputs, [make_run(f"tide:n={number}", args={f"k{number}": number})])
        ingest(outputs, cache)
    snapshot = Cache(cache).snapshot()
    keys = [run.key for place in cached_places(outputs, cache) if (run := snapshot.lookup(place))]
    frames = {table: select_runs(snapshot, table, keys, own="hidden").lazy() for table in TABLES}
    raw = Cache(cache).scan("stats")
    before = {table: frame.collect() for table, frame in frames.items()}
    rows = raw.collect().height
    stats = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    stats.write_text(stats.read_text().replace("0.5", "0.75"))
    ingest(outputs, cache)
    Cache(cache).compact()
    commit_transaction(cache, Transaction(pruned=keys[:1]))
    for table, frame in frames.items():
        assert_frame_equal(frame.collect(), before[table])
    assert raw.collect().height == rows
    Cache(cache).compact(grace_s=0)
    for frame in frames.values():
        with pytest.raises(SnapshotExpiredError, match="moved on"):
            frame.collect()


def test_a_frame_of_a_cache_that_was_cleared(tmp_path: Path) -> None:
    frame = select_runs(commit_runs(tmp_path, {"a": [1]}), "stats", [key_of("a")]).lazy()
    clear(tmp_path)
    with pytest.raises(SnapshotExpiredError):
        frame.collect()
