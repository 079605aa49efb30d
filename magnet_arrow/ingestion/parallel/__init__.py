"""Work divided among processes. In: runs to ingest. Out: tasks, their executors and results."""
