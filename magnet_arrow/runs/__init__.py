"""A source -> the runs in it, as objects whose frames ingest what the cache lacks and then read the cache."""
