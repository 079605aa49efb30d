"""Segments: many runs in one immutable Parquet file per table, written once and read by row group."""
