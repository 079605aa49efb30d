"""Bytes of a dump, wherever it is. In: paths that a person gives. Out: open files and their fingerprints."""
