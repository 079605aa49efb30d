"""Structs to record batches. In: decoded elements of many runs. Out: columns, by the registry in `schema`."""
