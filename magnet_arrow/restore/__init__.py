"""Disk to HELM's JSON. In: a cached run. Out: the files that it came from."""
