"""A source into a cache. In: runs of a dump. Out: segments, committed; a report."""
