"""Runs -> a report: what is in a dump, how its models compare, what it cost, and which questions deserve a look."""
