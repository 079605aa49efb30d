"""Tests of the command line: a package, so that its conftest.py has another name than the one above it."""
