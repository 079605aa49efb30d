"""Bytes to structs. In: blocks of a file. Out: decoded elements, or an error that says where and why not."""
