"""Names of the folders of a partitioned table: `<column>=<value>`, as Hive writes them."""

import hashlib
from urllib.parse import quote

from magnet_arrow.query.arrow_stream import TableHandle

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_MAX_KEY = 100
_MAX_NAME = 255


def folder_name(key: str, value: object) -> str:
    """The folder of a value."""
    max_length = _MAX_NAME - len(key) - 1
    if value is None:
        return f"{key}={_NULL_FOLDER}"
    return f"{key}={_quoted(str(value).lower() if isinstance(value, bool) else str(value), max_length)}"


def folder_key(handle: TableHandle, column: str) -> str:
    """A column's part of a folder's name: its SQL name, so that readers do not confuse it with the column."""
    registered = set(handle.table.names)
    names = handle.table.sql_names(name for name in handle.schema.names if name not in registered)
    return _quoted(names[column], _MAX_KEY)


def _quoted(text: str, max_length: int) -> str:
    """A text that fits into a folder's name; a long one is cut, and a digest tells it from others."""
    quoted = quote(text, safe=",")
    if len(quoted) <= max_length:
        return quoted
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    kept = text[:max_length]
    while len(quote(kept, safe=",")) + len(digest) >= max_length:  # whole characters, since readers decode them
        kept = kept[:-1]
    return f"{quote(kept, safe=',')}~{digest}"
