"""Whether a dump can be read, and a cache stands for it. In: a source. Out: reports; the complete runs of it."""
