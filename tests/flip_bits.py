"""Flips one bit of a cache after the other, chosen by a seed, asks `check` what is damaged, and ingests again.

    python tests/flip_bits.py 1000

The cache has several segments, one of them with deleted runs. Files are chosen by kind, so that small ones (manifest,
run lists, deletion files) and the headers of pages have their share. Who looks knows nothing of the cache from before.
A flip counts as found if `check` names its file, and each run that it affects; as silent if a frame has other rows than
it had, and no error says so; as cured if an ingest leaves the cache sound and with the rows that it had. Of a manifest,
which nothing else tells the content of, an ingest has to say that it is damaged.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from makedump import make_run, write_runs
from page_headers import page_headers
from reading import all_tables, forget_run_lists

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.storage.manifest import read_manifest

KINDS = ("data page", "page header", "footer", "manifest", "run list", "deletion file")


@dataclass(frozen=True)
class Flip:
    kind: str
    file: str
    byte: int
    bit: int
    runs: frozenset[str]
    column: str = ""


def make_cache(folder: Path) -> Path:
    """Three segments, two runs of the first replaced by later ones."""
    outputs, cache = folder / "outputs", folder / "cache"
    write_runs(outputs, [make_run(f"tide:n={number}", extra_data=[{"k": number}]) for number in range(12)])
    ingest(outputs, cache)
    write_runs(outputs, [make_run(f"moon:n={number}", args={"phase": number}) for number in range(3)])
    ingest(outputs, cache)
    for number in (1, 4):
        stats = outputs / "runs" / "made" / f"tide:n={number}" / "stats.json"
        stats.write_text(stats.read_text().replace("0.5", "0.75"))
    ingest(outputs, cache)
    return cache


def flips(cache: Path, count: int, seed: int) -> Iterator[Flip]:
    rng = random.Random(seed)
    current = read_manifest(cache)
    snapshot = Cache(cache).snapshot()
    runs_of = {
        segment.id: frozenset(
            key for key, run in snapshot.entries.items() if run.segment.id == segment.id and run.entry.tables
        )
        for segment in current.segments
    }
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        segment = rng.choice([one for one in current.segments if one.deleted or kind != "deletion file"])
        runs = runs_of[segment.id]
        match kind:
            case "manifest":
                file, runs = "manifest.json", frozenset().union(*runs_of.values())
            case "run list":
                file = segment.runs.path
            case "deletion file":
                assert segment.deleted is not None
                file = segment.deleted.path
            case _:
                table = rng.choice(sorted(segment.tables))
                file = segment.tables[table].file.path
                runs = frozenset(key for key in runs if snapshot.entries[key].rows(table).rows)
        size = (cache / file).stat().st_size
        begin = size - 8 - pq.ParquetFile(cache / file).metadata.serialized_size if file.endswith("parquet") else 0
        column, end = "", size
        if kind == "data page":
            begin, end = 0, begin
        elif kind == "page header":  # no checksum covers it
            column, begin, end = rng.choice(list(page_headers(cache / file)))
        byte = rng.randrange(begin, end)
        yield Flip(kind, file, byte, rng.randrange(8), runs, column)


@contextlib.contextmanager
def flipped(cache: Path, flip: Flip) -> Iterator[Path]:
    """A copy of the cache in which the bit is flipped."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "cache"
        shutil.copytree(cache, copy)
        data = bytearray((copy / flip.file).read_bytes())
        data[flip.byte] ^= 1 << flip.bit
        (copy / flip.file).write_bytes(data)
        forget_run_lists()
        yield copy


def is_found(cache: Path, flip: Flip) -> bool:
    """Whether `check` names the file and the runs once the bit is flipped."""
    damages = [found for found in Cache(cache).check().damages if found.file == flip.file]
    return len(damages) == 1 and flip.runs <= set(damages[0].keys)


def is_silent(cache: Path, flip: Flip, expected: dict[str, pl.DataFrame]) -> bool:
    """Whether a frame has other rows than it had, and no error says so: of the column that is hit, or of all."""
    table = flip.file.partition("/")[0]
    if table not in expected:
        return False
    rows = expected[table]
    for columns in ([flip.column] if flip.column else [], rows.columns):
        with contextlib.suppress(CacheDamagedError):
            found = (
                select_runs(Cache(cache).snapshot(), table, runs_of(rows), columns).lazy().collect()
                if columns
                else None
            )
            if found is not None and not found.equals(rows.select(columns)):
                return True
    return False


def frames(cache: Path) -> dict[str, pl.DataFrame]:
    """The four tables of all runs, with all that occurs in them."""
    snapshot = Cache(cache).snapshot()
    return {
        table: select_runs(snapshot, table, list(snapshot.runs), own="hidden").lazy().collect()
        for table in ("run_spec", "scenario_state", "stats", "per_instance_stats")
    }


def runs_of(rows: pl.DataFrame) -> list[str]:
    return rows.get_column("magnet.run").unique(maintain_order=True).to_list()


def is_cured(cache: Path, outputs: Path, flip: Flip, rows: dict[str, pl.DataFrame]) -> bool:
    """Whether an ingest brings back what the bit has taken. A bad page it knows of if someone has met it."""
    try:
        ingest(outputs, cache)
    except CacheDamagedError:
        return flip.kind == "manifest"
    found = all_tables(cache)
    return not Cache(cache).check().damages and all(found[table].equals(rows[table]) for table in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = make_cache(Path(folder))
        rows, expected = all_tables(cache), frames(cache)
        tried, missed, silent, uncured = Counter[str](), [], [], []
        for flip in flips(cache, options.count, options.seed):
            tried[flip.kind] += 1
            with flipped(cache, flip) as copy:
                silent += [flip] if is_silent(copy, flip, expected) else []
                missed += [] if is_found(copy, flip) else [flip]
                uncured += [] if is_cured(copy, Path(folder) / "outputs", flip, rows) else [flip]
    for kind, count in tried.items():
        counts = [sum(flip.kind == kind for flip in these) for these in (missed, silent, uncured)]
        print(f"{kind:15} {count:5} flips, {counts[0]} not found, {counts[1]} other rows, {counts[2]} not cured")
    print(*missed, *silent, *uncured, sep="\n", end="")
    sys.exit(bool(missed or silent or uncured))


if __name__ == "__main__":
    main()
