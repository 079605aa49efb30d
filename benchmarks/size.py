"""Bytes of a cache beside those of DuckDB's zstd Parquet of the same tables, flattened the same way.

    python benchmarks/size.py

Ours counts every file of the cache: manifest, run lists and page checksums too.
"""

import shutil
from pathlib import Path
from typing import Any

from dumps import dump, work_folder
from harness import arguments, header, report, run_once
from json_types import write_types


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("dumps", nargs="*", default=["mmlu", "classic", "large", "100MB"], help="names, sizes or paths")
    args = parser.parse_args()
    head = header()
    more: dict[str, Any] = {}
    with work_folder(args.work) as work:
        for name in args.dumps:
            outputs = dump(name, work)
            if outputs is None:
                print(f"{name} is left out: it is not here.")
                continue
            ours, theirs = work / "size-cache", work / "size-duckdb"
            for folder in (ours, theirs):
                shutil.rmtree(folder, ignore_errors=True)
            theirs.mkdir()
            types = write_types(outputs, work / f"types-{Path(name).name}.json")
            rows = run_once("candidates.ours:kept", str(outputs), str(ours))
            their_rows = run_once("candidates.with_duckdb:to_parquet_kept", str(outputs), str(types), str(theirs))
            assert rows == their_rows, f"The candidates do not agree on the rows: {rows}, {their_rows}"
            sizes = _bytes(ours), _bytes(theirs)
            more[Path(name).name] = {
                "ours": sizes[0],
                "DuckDB": sizes[1],
                "ratio": round(sizes[0] / sizes[1], 3),
                "ratio by table": {
                    table: round(_bytes(ours / table) / (theirs / f"{table}.parquet").stat().st_size, 3)
                    for table in rows
                },
                "run lists": _bytes(ours / "runs"),
            }
            for folder in (ours, theirs):
                shutil.rmtree(folder)
    report(__file__, head, [], write_json=args.json, more=more)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
