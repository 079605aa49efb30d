"""`magnet-arrow sql`. In: the text of a statement, and a cache. Out: rows, on a terminal or in a file."""
