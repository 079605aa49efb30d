"""Runs as objects. In: a source. Out: frames, which first ingest the runs that the cache lacks."""
