"""The command line. In: arguments. Out: one call of the package, and its report as text or JSON."""
