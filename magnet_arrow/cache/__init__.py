"""What we wrote, and how it stays whole: immutable Parquet segments under one manifest."""
