"""Builders of tables whose objects recur: stats of a run as a whole, stats of its instances, and the instances.

Files in HELM's layout are split between objects, and only distinct pieces are decoded.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice, pairwise
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec import Raw, Struct

from magnet_arrow import _arrow_compute as pc
from magnet_arrow._interning import int64, take
from magnet_arrow.decode import helm_layout, layout_split
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import (
    QUOTE,
    BadPieceError,
    Decoded,
    ElementDecoder,
    FastDecodeError,
    decoder_of,
    is_no_object,
    parse,
    parsed_elements,
    raw_elements,
)
from magnet_arrow.decode.wire import Residual
from magnet_arrow.helm import structs
from magnet_arrow.records.column_builders import Converted, StructBuilder, int32, scalar
from magnet_arrow.records.interner import Interner, count_quotes
from magnet_arrow.records.table_builder import MAX_ROWS_AT_ONCE, ArrayBuilder, Rows, moved, repeated
from magnet_arrow.schema import registry

_NO_STAT = Raw(b"")
_PARAMETERS = "/perturbation/"
_DECLARED = frozenset(column.pointer for column in registry.table("per_instance_stats").columns)


@dataclass(slots=True)
class RecurringRows(Rows):
    """Rows of one element each, by number."""

    codes: "array[int]"


class RecurringBuilder(ArrayBuilder[RecurringRows]):
    """Builds row groups of an array of objects, many of which recur in a run or from run to run: one row each."""

    _OPENING, _CLOSING = helm_layout.object_start(1) + b"\n", helm_layout.object_end(1)

    def __init__(self, name: str, struct: type[Struct]) -> None:
        self._decoder = decoder_of(struct)
        super().__init__(name)

    def _begin_group(self) -> None:
        super()._begin_group()
        self._elements = Interner(self.table.name, "", StructBuilder(self._decoder.shape), self._decoder)
        self._interners = (self._elements,)

    def _read_fast(self, chunks: Sequence[Chunk]) -> RecurringRows:
        rows = RecurringRows([0] * len(chunks), array("i"))
        for owners, regions in _batches(chunks, self._OPENING, self._CLOSING):
            found = layout_split.split(regions, self._CLOSING + b"," + self._OPENING)
            numbers = pa.array(self._elements.numbers_of_insides(found.distinct.to_pylist()), pa.int32())
            _extend_codes(rows.codes, numbers.take(found.codes))
            for owner, count in zip(owners, found.counts, strict=True):
                rows.counts[owner] += count
        for chunk, count in zip(chunks, rows.counts, strict=True):
            chunk.count = count
        return rows

    def _read_carefully(self, chunk: Chunk) -> RecurringRows:
        try:
            numbers = self._elements.numbers_of(raw_elements(chunk))
        except BadPieceError:  # the parser says where
            numbers = self._elements.numbers_of(parsed_elements(chunk))
        return RecurringRows([len(numbers)], numbers)

    def residuals_of(self, rows: RecurringRows) -> Iterator[Residual]:
        """What no column holds of each row's element. See `TableBuilder.residuals_of`."""
        yield from self._elements.residuals_of(rows.codes)

    def _append_values(self, rows: RecurringRows) -> None:
        self._elements.codes.extend(rows.codes)


class StatsBuilder(RecurringBuilder):
    """Builds row groups of `stats`: one row per stat."""

    def __init__(self) -> None:
        super().__init__("stats", structs.Stat)


@dataclass(slots=True)
class InstanceStatRows(Rows):
    """Rows that are a stat of an entry each.

    Attributes:
        firsts: the place in its file of each file's first entry.
        codes: the number of each row's stat.
        entries: the entries without their stats, converted some at a time.
        lengths: how many stats each entry of each file has.
        rowless_residuals: what no column holds of entries without a row.
    """

    firsts: list[int]
    codes: "array[int]" = field(default_factory=lambda: array("i"))
    entries: list[Converted[Any]] = field(default_factory=list)
    lengths: list[list[int]] = field(default_factory=list)
    rowless_residuals: list[Residual] = field(default_factory=list)


class InstanceStatsBuilder(ArrayBuilder[InstanceStatRows]):
    """Builds row groups of `per_instance_stats`: one row per stat of an entry, with the entry's own fields."""

    _PREFIX = "per_instance_stats"
    _STAT = ElementDecoder(structs.Stat)
    _ENTRY = ElementDecoder(structs.PerInstanceStats)
    _OPENING = helm_layout.object_start(1) + b"\n"
    _CLOSING = helm_layout.object_end(3) + helm_layout.array_end(2) + helm_layout.object_end(1)
    _STAT_BREAK = helm_layout.element_break(3) + b"\n"
    _ENTRY_BREAK = _CLOSING + b"," + _OPENING
    _HEAD_END = b"," + helm_layout.array_member(2, "stats") + helm_layout.object_start(3) + b"\n"

    def __init__(self) -> None:
        super().__init__("per_instance_stats")

    def _begin_group(self) -> None:
        super()._begin_group()
        self._stats = Interner(f"{self._PREFIX}.stats", "/stats", StructBuilder(self._STAT.shape), self._STAT)
        self._entries = StructBuilder(self._ENTRY.shape, without=["stats"])
        self._lengths = array("i")
        self._entry_numbers = array("q")
        self._first_rows: list[int] = []  # of each entry
        self._interners = (self._stats,)

    def _read_fast(self, chunks: Sequence[Chunk]) -> InstanceStatRows:
        rows = InstanceStatRows([], [chunk.first for chunk in chunks], lengths=[[] for _ in chunks])
        for owners, regions in _batches(chunks, self._OPENING, self._CLOSING):
            found = layout_split.split(regions, self._STAT_BREAK)
            for owner, lengths in zip(owners, self._read_pieces(found, rows), strict=True):
                rows.lengths[owner] += lengths
        for chunk, lengths in zip(chunks, rows.lengths, strict=True):
            chunk.count = len(lengths)
        rows.counts = [sum(lengths) for lengths in rows.lengths]
        return rows

    def _read_pieces(self, found: layout_split.Split, rows: InstanceStatRows) -> list[list[int]]:
        """Add the pieces of regions to `rows`; returns how many stats each entry of each region has."""
        alone, across = self._pieces(found.distinct)
        numbers = alone.take(found.codes)
        places = pc.indices_nonzero(pc.equal(numbers, scalar(-1, pa.int32())))
        split, codes = array("i"), array("i")
        _extend_codes(split, numbers)
        entries: list[tuple[Any, int]] = []
        begins: list[int] = []  # of each entry, in `codes`
        firsts: list[int] = []  # of each region, in `entries`
        regions = accumulate(found.counts, initial=0)
        region, done = next(regions), 0
        for place, code in zip(places.to_pylist(), found.codes.take(places).to_pylist(), strict=True):
            codes += split[done:place]
            if place == region:
                firsts.append(len(entries))
                if across[code][0].entry is None:
                    raise FastDecodeError
                region = next(regions)
            for entry, number in across[code]:
                if entry is not None:
                    begins.append(len(codes))
                    entries.append(entry)
                codes.append(number)
            done = place + 1
        if len(firsts) != len(found.counts):
            raise FastDecodeError
        codes += split[done:]
        rows.codes += codes
        self._read_heads(entries, rows)
        lengths = [end - begin for begin, end in pairwise([*begins, len(codes)])]
        return [lengths[begin:end] for begin, end in pairwise([*firsts, len(entries)])]

    def _read_heads(self, entries: Sequence[tuple[Any, int]], rows: InstanceStatRows) -> None:
        """Add to `rows` entries without their stats, of which each has the quotation marks in its JSON beside it."""
        heads, quotes = zip(*entries, strict=True)
        converted = self._entries.convert(heads, exact=False)
        if converted.quotes != sum(quotes) or any(entry.stats is not None for entry in heads):
            raise FastDecodeError
        rows.entries.append(converted)

    def _pieces(self, distinct: pa.BinaryArray) -> tuple[pa.Int32Array, dict[int, list["_Part"]]]:
        """The contents of each piece: a stat, or the end of an entry with the head and first stat of the next one.

        Returns:
            By code the number of the stat that a piece is, -1 for a piece that goes across entries; and by code the
            parts of each of these.
        """
        is_across = layout_split.having(distinct, self._HEAD_END)
        is_alone = pc.invert(is_across)
        alone = distinct.filter(is_alone).to_pylist()
        heads: list[bytes] = []
        inner: list[bytes] = []
        counts, headed = [], array("b")
        for piece in distinct.filter(is_across).to_pylist():
            parts = piece.split(self._ENTRY_BREAK)
            counts.append(len(parts))
            for place, part in enumerate(parts):
                head, end, stat = part.rpartition(self._HEAD_END)
                if end and head:
                    heads.append(b"{%b}" % head)
                elif end or place:
                    raise FastDecodeError
                headed.append(bool(end))
                inner.append(stat)
        count_quotes(heads)  # which says if one is not ordinary
        entries = zip(self._ENTRY.fast_pieces(heads), (head.count(QUOTE) for head in heads), strict=True)
        found = self._stats.numbers_of_insides([*alone, *inner])
        numbers = pa.repeat(scalar(-1, pa.int32()), len(distinct))
        numbers = pc.replace_with_mask(numbers, is_alone, pa.array(found[: len(alone)], pa.int32()))
        begun = (next(entries) if is_headed else None for is_headed in headed)
        parts_across = map(_Part, begun, found[len(alone) :])
        across = pc.indices_nonzero(is_across).to_pylist()
        return numbers, {code: list(islice(parts_across, count)) for code, count in zip(across, counts, strict=True)}

    def _read_carefully(self, chunk: Chunk) -> InstanceStatRows:
        decoded = self._ENTRY.careful(chunk)
        # An entry that is no object has a row, without a stat.
        no_objects = {index for index, residual in decoded.residuals.items() if is_no_object(residual)}
        raws_of = [
            [_NO_STAT] if index in no_objects else entry.stats or [] for index, entry in enumerate(decoded.structs)
        ]
        lengths = list(map(len, raws_of))
        _require_few_rows(chunk, lengths)
        entries = self._entries.convert(decoded.structs, exact=True)
        codes = self._stats.numbers_of(list(chain.from_iterable(raws_of)))
        rows = InstanceStatRows([len(codes)], [chunk.first], codes, [entries], [lengths])
        self._add_residuals(rows, decoded)
        if 0 in lengths:
            rows.rowless = _rowless(chunk, lengths)
        return rows

    def _add_residuals(self, rows: InstanceStatRows, decoded: Decoded) -> None:
        """An entry's residual is in its first row, but what becomes a column is in all of its rows."""
        first = 0
        for index, length in enumerate(rows.lengths[0]):
            residual = decoded.residuals.get(index)
            if residual is not None and not length:
                rows.rowless_residuals.append(residual)
            elif residual is not None:
                rows.residuals[first] = residual
                parameters = {
                    place: value
                    for place, value in residual.items()
                    if place.startswith(_PARAMETERS) and place not in _DECLARED and value is not None
                }
                for row in range(first + 1, first + length) if parameters else ():
                    rows.residuals[row] = parameters
            first += length

    def residuals_of(self, rows: InstanceStatRows) -> Iterator[Residual]:
        """What no column holds of each row's entry and stat, and of entries without a row: say, with bad stats."""
        yield from super().residuals_of(rows)
        for residual in self._stats.residuals_of(rows.codes):
            yield moved(residual, "/stats/0")
        yield from rows.rowless_residuals

    def _append_values(self, rows: InstanceStatRows) -> None:
        self._stats.codes.extend(rows.codes)
        for entries in rows.entries:
            self._entries.append(entries)
        row = self.rows
        for first, lengths in zip(rows.firsts, rows.lengths, strict=True):
            self._first_rows.extend(accumulate(lengths[:-1], initial=row) if lengths else ())
            self._lengths.extend(lengths)
            self._entry_numbers.extend(range(first, first + len(lengths)))
            row += sum(lengths)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        codes = _entry_of_row(self._lengths)
        for name, column in self._entries.columns(self._PREFIX):
            yield name, take(column, codes)
        yield registry.ENTRY, int64(self._entry_numbers).take(codes)
        yield from super()._columns()

    def _pointer_of(self, interner: Interner, row: int) -> str:
        return f"/stats/{row - self._first_rows[bisect_right(self._first_rows, row) - 1]}"


class _Part(NamedTuple):
    """A part of a piece that goes across entries.

    Attributes:
        entry: the entry that begins here, and the quotation marks in its JSON; None for the last stat of one.
        number: of the stat.
    """

    entry: tuple[Any, int] | None
    number: int


def _entry_of_row(lengths: "array[int]") -> pa.Int32Array:
    """The place of each row's entry, from how many rows each entry has."""
    ends = array("i", accumulate(length for length in lengths if length))
    places = array("i", (place for place, length in enumerate(lengths) if length))
    return repeated(int32(places), ends)


def _batches(
    chunks: Sequence[Chunk], opening: bytes, closing: bytes
) -> Iterator[tuple[list[int], list[layout_split.Region]]]:
    """The insides of the chunks' elements, some regions at a time, and the number of each region's chunk."""
    owners: list[int] = []
    regions: list[layout_split.Region] = []
    size = 0
    for number, chunk in enumerate(chunks):
        for region in layout_split.regions(chunk, layout_split.ELEMENT_END, layout_split.BATCH_BYTES):
            owners.append(number)
            regions.append(layout_split.insides(region, opening, closing))
            size += region.end - region.begin
            if size >= layout_split.BATCH_BYTES:
                yield owners, regions
                owners, regions, size = [], [], 0
    if regions:
        yield owners, regions


def _extend_codes(codes: "array[int]", more: pa.Int32Array) -> None:
    data = more.buffers()[1]
    codes.frombytes(memoryview(data)[4 * more.offset : 4 * (more.offset + len(more))])


def _require_few_rows(chunk: Chunk, lengths: Sequence[int]) -> None:
    """No entry may have more than `MAX_ROWS_AT_ONCE` stats, nor all of a chunk together."""
    if sum(lengths) <= MAX_ROWS_AT_ONCE:
        return
    for index, length in enumerate(lengths):
        if length > MAX_ROWS_AT_ONCE:
            expected = f"an entry of at most {MAX_ROWS_AT_ONCE:,} stats"
            raise chunk.too_large(chunk.begin_of(index), expected, f"one of {length:,}", index)
    if not chunk.is_part:
        raise CrowdedError


def _rowless(chunk: Chunk, lengths: Sequence[int]) -> dict[int, Any]:
    """The entries of a chunk without a stat, by their place in the file, as Python reads them."""
    found = {}
    for index, (begin, end) in enumerate(chunk.elements()):
        if not lengths[index]:
            found[chunk.first + index] = parse(memoryview(chunk.buffer)[begin:end])
    return found
