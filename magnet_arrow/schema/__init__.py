"""The contract: which tables there are, their columns and types."""
