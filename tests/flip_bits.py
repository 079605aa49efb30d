"""Flips one bit of a cache after the other, chosen by a seed, asks `check` what is damaged, and ingests again.

    python tests/flip_bits.py 1000

The cache has several segments, one of them with deleted runs. Files are chosen by kind, so that small ones (manifest,
run lists, deletion files) have their share. Who looks knows nothing of the cache from before. A flip counts as found
if its file is named, and each run that it affects; as cured if an ingest leaves the cache sound and with the rows that
it had. Of a manifest, which nothing else tells the content of, an ingest has to say that it is damaged.
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
from reading import all_tables, forget_run_lists

from magnet_arrow.cache.manifest import read_manifest
from magnet_arrow.cache.store import Cache
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.ingestion import ingest

KINDS = ("data page", "footer", "manifest", "run list", "deletion file")


@dataclass(frozen=True)
class Flip:
    kind: str
    file: str
    byte: int
    bit: int
    runs: frozenset[str]


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
        byte = rng.randrange(begin) if kind == "data page" else rng.randrange(begin, size)
        yield Flip(kind, file, byte, rng.randrange(8), runs)


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
        rows = all_tables(cache)
        tried, missed, uncured = Counter[str](), [], []
        for flip in flips(cache, options.count, options.seed):
            tried[flip.kind] += 1
            with flipped(cache, flip) as copy:
                missed += [] if is_found(copy, flip) else [flip]
                uncured += [] if is_cured(copy, Path(folder) / "outputs", flip, rows) else [flip]
    for kind, count in tried.items():
        found, cured = (sum(flip.kind == kind for flip in these) for these in (missed, uncured))
        print(f"{kind:15} {count:5} flips, {found} not found, {cured} not cured")
    print(*missed, *uncured, sep="\n", end="")
    sys.exit(bool(missed or uncured))


if __name__ == "__main__":
    main()
