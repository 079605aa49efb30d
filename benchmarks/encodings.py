"""What each column of a cached table takes, in bytes and time, by how it is encoded.

    python benchmarks/encodings.py mmlu scenario_state

Each column is written alone, in row groups as the cache has them, by zstd at several levels, with a dictionary, plain,
and in every other encoding that its type can have. `magnet_arrow/cache/encodings.py` is chosen by this.
"""

import os
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from dumps import dump, work_folder
from harness import arguments, header, report

from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.manifest import read_manifest

LEVELS = (1, 3, 6)
OTHERS = {
    pa.string(): ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"),
    pa.int64(): ("DELTA_BINARY_PACKED",),
    pa.float64(): ("BYTE_STREAM_SPLIT",),
}


def ways(arrow: pa.DataType) -> dict[str, dict[str, object]]:
    """Options of the writer, by name."""
    found: dict[str, dict[str, object]] = {}
    for level in LEVELS:
        common = {"compression": "zstd", "compression_level": level}
        found[f"dictionary, zstd {level}"] = common | {"use_dictionary": True}
        found[f"plain, zstd {level}"] = common | {"use_dictionary": False}
        for encoding in OTHERS.get(arrow, ()):
            found[f"{encoding}, zstd {level}"] = common | {"use_dictionary": False, "column_encoding": encoding}
    return found


def write(groups: list[pa.Table], path: Path, options: dict[str, object]) -> tuple[int, float]:
    """Bytes of the column's chunks, and seconds."""
    begin = time.process_time()
    with pq.ParquetWriter(path, groups[0].schema, write_statistics=False, store_schema=False, **options) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(1, group.num_rows))
    took = time.process_time() - begin
    footer = pq.ParquetFile(path).metadata
    chunks = [footer.row_group(number).column(0) for number in range(footer.num_row_groups)]
    return sum(chunk.total_compressed_size for chunk in chunks), took


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("dump", nargs="?", default="mmlu", help="a name, a size or a path")
    parser.add_argument("table", nargs="?", default="scenario_state")
    parser.add_argument("--least", type=int, default=5_000, help="leave out columns of fewer bytes (default 5000)")
    args = parser.parse_args()
    head = header()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    found: dict[str, str] = {}
    with work_folder(args.work) as work:
        outputs = dump(args.dump, work)
        if outputs is None:
            raise SystemExit(f"{args.dump} is not here.")
        cache = work / "encodings-cache"
        ingest(outputs, cache, workers=1)
        entry = read_manifest(cache).segments[0].tables[args.table]
        file = pq.ParquetFile(cache / entry.file.path)
        for name in file.schema_arrow.names:
            groups = [
                file.read_row_group(number, columns=[name]).select([name]) for number in range(file.num_row_groups)
            ]
            if pa.types.is_nested(groups[0].schema.field(0).type):
                continue  # its parts are columns of Parquet's, which are told by their paths
            sizes = {}
            for way, options in ways(groups[0].schema.field(0).type).items():
                runs = [write(groups, work / "column.parquet", options) for _ in range(args.rounds)]
                sizes[way] = runs[0][0], median(took for _, took in runs)
            if max(size for size, _ in sizes.values()) >= args.least:
                found[name] = "; ".join(f"{way} {size:,} B {took * 1e3:.1f} ms" for way, (size, took) in sizes.items())
    report(__file__, head, [], write_json=args.json, more=found)


if __name__ == "__main__":
    main()
