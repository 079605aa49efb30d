"""Says which tables were left out when runs were ingested: a reader of the cache alone misses their rows."""

from collections import Counter
from collections.abc import Collection, Iterable

from magnet_arrow._text import counted
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.storage.snapshot import CachedRun


def not_ingested_text(tables: Collection[str], runs: Iterable[CachedRun]) -> str:
    """How many of some runs and suites lack rows of these tables by choice, and how to add them; empty if none."""
    kinds = {TABLES[name].of for name in tables}
    every: Counter[str] = Counter()
    without: Counter[str] = Counter()
    missing: set[str] = set()
    for run in runs:
        kind = "run" if run.entry.folder else "suite"
        lacking = run.entry.tables_left_out.intersection(tables)
        missing |= lacking
        every[kind] += kind in kinds
        without[kind] += bool(lacking)
    if not missing:
        return ""
    counts = " and ".join(f"{count:,} of {counted(every[kind], kind)}" for kind, count in without.items() if count)
    names = [name for name in TABLES if name in missing]
    were = "was" if without.total() == 1 else "were"
    what, has, it = ("table", "has", "it") if len(names) == 1 else ("tables", "have", "them")
    listed = ",".join(names)
    return (
        f"{counts} {were} ingested without {what} {', '.join(names)}, which {has} no rows of them. To add {it}, ingest "
        f"their source again, with --tables {listed} (in Python tables=[…]) or, for all tables, without this option."
    )
