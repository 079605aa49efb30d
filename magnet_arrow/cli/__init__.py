"""The command line. In: arguments. Out: one call, and what a person sees of it."""
