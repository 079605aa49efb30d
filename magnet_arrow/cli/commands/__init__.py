"""The commands. In: parsed arguments. Out: one call of the package, its report printed, an exit code.

The package is imported inside the commands, so that `--help` does not wait for Polars and Arrow.
"""
