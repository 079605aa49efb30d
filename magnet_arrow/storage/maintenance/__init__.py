"""Maintenance of a cache: compact, merge, vacuum, check, repair. In: a cache. Out: fewer files, or what is damaged."""
