"""Searching by vectors finds what Python's own methods find."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from magnet_arrow.decode import byte_search
from magnet_arrow.decode.byte_search import count_byte, find, has


@given(
    data=st.lists(st.sampled_from(b"ab"), max_size=40).map(bytes),
    text=st.lists(st.sampled_from(b"ab"), min_size=1, max_size=4).map(bytes),
    begin=st.integers(0, 10),
    short=st.integers(0, 5),
    row=st.integers(4, 9),
)
def test_a_text_is_found_where_it_stands_first(data: bytes, text: bytes, begin: int, short: int, row: int) -> None:
    """By rows too, into which long data is cut: a text may lie across two."""
    begin = min(begin, len(data))
    end = max(begin, len(data) - short)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_search, "_LONG_SEARCH_BYTES", 1)
        patch.setattr(byte_search, "_SEARCH_ROW_BYTES", row)
        assert find(data, begin, end, text) == data.find(text, begin, end)
        assert has(bytearray(data), begin, end, text) is (text in data[begin:end])


@given(data=st.lists(st.sampled_from(b"ab"), max_size=40).map(bytes), begin=st.integers(0, 10), short=st.integers(0, 5))
@pytest.mark.parametrize("long", [1, 1 << 16])
def test_bytes_are_counted(long: int, data: bytes, begin: int, short: int) -> None:
    begin = min(begin, len(data))
    end = max(begin, len(data) - short)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_search, "_LONG_COUNT_BYTES", long)
        assert count_byte(bytearray(data), ord("a"), begin, end) == data[begin:end].count(b"a")
