"""Bytes to structs. In: blocks of a file. Out: decoded elements, or a reason why not, with the place."""
