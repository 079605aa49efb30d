"""What keeps a cache small and sound: compact, merge, vacuum, check, repair."""
