"""The place and the words are ours: they are the same on every Python, while `json`'s are not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet_arrow.helm.json_faults import Fault, first_fault

FAULTS = {
    "a comma before a bracket": (b"[1, 2, ]", 7, "no value"),
    "a comma before a brace": (b'{"a": 1, }', 9, "no key in quotation marks"),
    "nothing": (b" ", 1, "no value"),
    "no value": (b'{"a": }', 6, "no value"),
    "half a word": (b"[tru]", 1, "no value"),
    "a bare key": (b"{a: 1}", 1, "no key in quotation marks"),
    "no colon": (b'{"a" 1}', 5, "no colon after a key"),
    "no comma in a list": (b"[1 2]", 3, "neither a comma nor ']'"),
    "no comma in an object": (b'{"a": 1 "b": 2}', 8, "neither a comma nor '}'"),
    "the wrong bracket": (b"[{}}", 3, "neither a comma nor ']'"),
    "more behind": (b"{} {}", 3, "more after its end"),
    "an open string": (b'["abc', 1, "a string without an end"),
    "an open escape": (b'["abc\\', 1, "a string without an end"),
    "no escape": (b'["a\\x"]', 3, "a backslash that escapes nothing"),
    "half an escape": (b'["\\u12"]', 2, "a backslash that escapes nothing"),
    "a raw newline": (b'["a\nb"]', 3, "a control character in a string"),
    "a number with a zero before": (b"[01]", 2, "neither a comma nor ']'"),
    "behind letters of two bytes": ('["é", ]'.encode(), 7, "no value"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_the_first_fault(case: str) -> None:
    data, byte, what = FAULTS[case]
    assert first_fault(data) == Fault(byte, what)


@given(st.text('{}[]:,"\\ \n\tatrue0.-+eé', max_size=12) | st.sampled_from(['{"a": [1, -2.5e3, {}], "b": NaN}']))
def test_what_is_json_is_what_python_takes(text: str) -> None:
    try:
        json.loads(text)
        is_json = True
    except ValueError:
        is_json = False
    assert (first_fault(text.encode()) is None) == is_json
