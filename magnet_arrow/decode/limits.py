"""How much is read and decoded at once, and how large one element may be."""

BLOCK_BYTES = 16 << 20
"""A file is read in blocks of this size. A shorter file is one chunk."""
CHUNK_BYTES = 4 << 20
"""The chunks of a longer file are about this long; a row group can end between two chunks."""
MAX_ELEMENT_BYTES = 32 << 20
"""The longest element, and the longest document that is one object. Its values take a few times as much memory."""
MAX_ELEMENTS = 1 << 15
"""The most elements that the careful way decodes at once. Even `{}` takes some 1,000 bytes there."""
MAX_VALUES = 1 << 19
"""About the most values that one element may have in the careful way. Each takes some 300 bytes there."""
PART_VALUES = 1 << 17
"""A part of a crowded chunk ends at about this many values; see `Chunk.parts`."""
TAIL_BYTES = 1 << 20
"""What follows a file's array is looked for in this many bytes at the file's end."""
