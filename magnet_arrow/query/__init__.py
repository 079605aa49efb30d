"""Disk to lazy frames. In: a snapshot and chosen runs. Out: lazy frames, Arrow streams, views."""
