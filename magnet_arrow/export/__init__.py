"""Exports for other tools. In: a cache. Out: a folder of plain Parquet files."""
