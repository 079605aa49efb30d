"""Writes all that a cache gives, in every way, to a folder: run by tests under another schema than the cache's.

python tests/read_everything.py CACHE SOURCE OUT
"""

import sys
from pathlib import Path

import duckdb

from magnet_arrow import Cache, verify
from magnet_arrow.export.parquet import export_tables
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.restore.run_files import restore
from magnet_arrow.schema import registry


def main(cache: Cache, source: Path, out: Path) -> None:
    snapshot = cache.snapshot()
    connection = duckdb.connect()
    cache.to_duckdb(connection)
    for way in ("frame", "scan", "duckdb"):
        (out / way).mkdir(parents=True)
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        frame = select_runs(snapshot, table, list(snapshot.runs), own="hidden").lazy().collect()
        frame.write_parquet(out / "frame" / f"{table}.parquet")
        cache.scan(table).collect().write_parquet(out / "scan" / f"{table}.parquet")
        connection.execute(f"COPY (FROM {table}) TO '{out / 'duckdb' / table}.parquet'")
    export_tables(cache, out / "export")
    for run in snapshot.runs.values():
        restore(snapshot, run, out / "restored")
    report = verify(source, cache)
    print(registry.SCHEMA_VERSION, report.runs, report.n_differences)


if __name__ == "__main__":
    main(Cache(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
