"""The contract: tables, their columns and types. In: the structs of `helm`. Out: a registry of tables."""
