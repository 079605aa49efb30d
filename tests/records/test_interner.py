"""Interner: distinct objects are kept once, and rows hold their numbers."""

import pytest
from msgspec import Raw

from magnet_arrow.decode.decoder import ElementDecoder
from magnet_arrow.helm import structs
from magnet_arrow.records.column_builders import StructBuilder
from magnet_arrow.records.interner import Interner

STAT = ElementDecoder(structs.Stat)


def test_objects_that_recur_are_decoded_once_and_referred_to_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[bytes]] = []
    intern = Interner.intern
    monkeypatch.setattr(
        Interner, "intern", lambda self, new, keys: (asked.append(list(new)), intern(self, new, keys))[1]
    )
    interner = Interner("stats", "", StructBuilder(STAT.shape), STAT)
    one, two, bad = (Raw(text) for text in (b'{"mean":1}', b'{"mean":2,"new":0}', b"3"))
    interner.codes.extend(interner.numbers_of([one, two, one, Raw(b"")]))
    assert interner.numbers_of([bad]).tolist() == [2]  # of a run that is not appended
    interner.codes.extend(interner.numbers_of([two]))
    assert asked == [[bytes(one), bytes(two)], [bytes(bad)]]
    assert dict(interner.columns())["stats.mean"].to_pylist() == [1.0, 2.0, 1.0, None, 2.0]
    assert dict(interner.columns())["stats.mean"].to_pylist() == [1.0, 2.0, 1.0, None, 2.0]
    assert list(interner.residual_rows()) == [(1, {"/new": 0}), (4, {"/new": 0})]
    assert list(interner.residuals_of([0, -1, 1])) == [{"/new": 0}]
    assert interner.quotes([0, 0, 1, -1]) == 8
