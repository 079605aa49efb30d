"""Record batches to disk, durably. In: batches and run entries. Out: segments of Parquet files under one manifest."""
