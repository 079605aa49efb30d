"""The encodings of a table's columns in Parquet, chosen by measurement.

`benchmarks/encodings.py` writes the columns of a cached table one by one (here those of `mmlu`, `classic` and `large`),
by zstd at several levels, with a dictionary, plain, and in each other encoding that the type can have. Level 3 takes 2
to 6 % off level 1 in about the same time, level 6 takes twice the time for some 3 % more.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import ENTRY, ROW, RUN_NAME, Table

_REQUEST_STATE = registry.table("scenario_state").named
_PROMPT = _REQUEST_STATE("request_states.request.prompt")
_TIME = _REQUEST_STATE("request_states.result.request_time")
_DATE = _REQUEST_STATE("request_states.result.request_datetime")

_ENCODINGS = {
    # Prompts of a run begin alike (280 to 246 kB on mmlu, 703 to 547 on large, in no more time).
    _PROMPT: "DELTA_BYTE_ARRAY",
    # Numbers that count up (383 kB to 0.5 on large) or nearly so (21 kB to 12).
    ROW: "DELTA_BINARY_PACKED",
    ENTRY: "DELTA_BINARY_PACKED",
    _DATE: "DELTA_BINARY_PACKED",
    # No two are alike (33 kB to 22 on mmlu, 44 to 35 on large).
    _TIME: "BYTE_STREAM_SPLIT",
}
_PLAIN_FLOATS = {"scenario_state", "per_instance_stats"}
"""Log probabilities, and stats of instances: the same ones follow each other, which zstd finds by itself if no
dictionary is in its way (74 kB to 58 on mmlu, 178 to 156 on large, in two thirds of the time). The means in `stats` are
smaller in one (34 kB to 20 on mmlu)."""


def writer_options(table: Table, fields: Iterable[pa.Field]) -> dict[str, Any]:
    """The arguments of `pq.ParquetWriter` for these columns of a table."""
    fields = list(fields)
    leaves = {path: encoding for field in fields for path, encoding in _leaves(table, field)}
    types = {path: arrow for field in fields for path, arrow in _paths(field.name, field.type)}
    return {
        "compression": "zstd",
        "compression_level": 3,
        # A page is compressed by itself: prompts and answers that recur far apart meet (2 % of mmlu's).
        "data_page_size": 4 << 20,
        "max_rows_per_page": 2**31 - 1,  # a chunk of one page tells by its footer whether all of it was read (`pages`)
        "use_dictionary": [path for path, encoding in leaves.items() if encoding is None],
        "column_encoding": {path: encoding for path, encoding in leaves.items() if encoding is not None},
        # For other tools, which look for runs by name, and for numbers; we go by the run lists. Those of other texts
        # would be most of their bytes.
        "write_statistics": [path for path, arrow in types.items() if path == RUN_NAME or arrow != pa.string()],
        "write_page_checksum": True,
        # Without the Arrow schema in the file, readers see plain columns where we wrote dictionaries.
        "store_schema": False,
    }


def is_plain_text(name: str) -> bool:
    """Whether a column of texts is not written as a dictionary."""
    return name in _ENCODINGS


def _leaves(table: Table, field: pa.Field) -> Iterator[tuple[str, str | None]]:
    """Parquet's columns for one of ours, and their encodings; None for a dictionary."""
    if field.name in _ENCODINGS:
        yield field.name, _ENCODINGS[field.name]
        return
    for path, arrow in _paths(field.name, field.type):
        yield path, "PLAIN" if pa.types.is_floating(arrow) and table.name in _PLAIN_FLOATS else None


def _paths(path: str, arrow: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if pa.types.is_list(arrow):
        yield from _paths(f"{path}.list.element", arrow.value_type)
    elif pa.types.is_struct(arrow):
        for field in arrow:
            yield from _paths(f"{path}.{field.name}", field.type)
    else:
        yield path, arrow
