"""The Polars types of a frame's columns."""

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from magnet_arrow.query.projection import ProjectedColumn


def frame_schema(projection: Sequence[ProjectedColumn]) -> pl.Schema:
    """The Polars schema of a frame with these columns."""
    return pl.Schema({column.name: polars_type(column.type.arrow) for column in projection})


def polars_type(arrow: pa.DataType) -> pl.DataType:
    """The type that a column of this Arrow type has in a Polars frame."""
    if pa.types.is_list(arrow):
        return pl.List(polars_type(arrow.value_type))
    if pa.types.is_struct(arrow):
        return pl.Struct({field.name: polars_type(field.type) for field in arrow})
    return _POLARS_TYPES[arrow]


# Asking Polars for the types of an empty Arrow table would load pandas, where that is installed.
_POLARS_TYPES: dict[pa.DataType, pl.DataType] = {
    pa.string(): pl.String(),
    pa.int64(): pl.Int64(),
    pa.float64(): pl.Float64(),
    pa.bool_(): pl.Boolean(),
    pa.null(): pl.Null(),
}
