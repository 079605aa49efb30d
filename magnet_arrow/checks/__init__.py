"""Checks of a dump and its cache. In: a source. Out: reports (`validate`, `verify`)."""
