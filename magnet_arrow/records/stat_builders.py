"""The `Rows` of what recurs again and again: stats of a run as a whole and of its instances, and the instances."""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec import Raw, Struct

from magnet_arrow import _arrow_compute as pc
from magnet_arrow._interning import taken
from magnet_arrow.decode import layout_split
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import (
    QUOTE,
    BadPieceError,
    ElementDecoder,
    NotPlainError,
    decoder_of,
    is_no_object,
    parse,
    parsed_elements,
    raw_elements,
)
from magnet_arrow.decode.wire import Residual
from magnet_arrow.helm import structs
from magnet_arrow.records.column_builders import Objects, Shared, int32, require_plain, scalar
from magnet_arrow.records.table_builder import MAX_STAGED_ROWS, Rows, int64, repeated
from magnet_arrow.schema import registry


class RecurringRows(Rows):
    """A table of an array of objects, many of which recur in a run or from run to run: one row an element."""

    _OPENING, _CLOSING = b"\n  {\n", b"\n  }"

    def __init__(self, name: str, struct: type[Struct]) -> None:
        self._decoder = decoder_of(struct)
        super().__init__(name)

    def _reset(self) -> None:
        super()._reset()
        self._elements = Shared(self.table.name, "", Objects(self._decoder.shape), self._decoder)
        self._shared = (self._elements,)

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        counts = [0] * len(files)
        for owners, regions in _batches(files, self._OPENING, self._CLOSING):
            found = layout_split.split(regions, self._CLOSING + b"," + self._OPENING)
            numbers = pa.array(self._elements.number_insides(found.distinct.to_pylist()), pa.int32())
            _extend_codes(self._elements.codes, numbers.take(found.codes))
            for owner, count in zip(owners, found.counts, strict=True):
                counts[owner] += count
        for file, count in zip(files, counts, strict=True):
            file.count = count
        return counts

    def _stage(self, chunk: Chunk) -> None:
        try:
            numbers = self._elements.number_pieces(raw_elements(chunk))
        except BadPieceError:
            numbers = self._elements.number_pieces(parsed_elements(chunk))
        self._elements.codes.extend(numbers)
        self._add_staged(len(numbers))


class StatRows(RecurringRows):
    """`stats`: one row a stat."""

    def __init__(self) -> None:
        super().__init__("stats", structs.Stat)


_NO_STAT = Raw(b"")
_PARAMETERS = "/perturbation/"
_DECLARED = frozenset(column.pointer for column in registry.table("per_instance_stats").columns)


class InstanceStatRows(Rows):
    """`per_instance_stats`: one row a stat of an entry, with the entry's own fields beside it."""

    _PREFIX = "per_instance_stats"
    _STAT = ElementDecoder(structs.Stat)
    _ENTRY = ElementDecoder(structs.PerInstanceStats)
    _OPENING, _CLOSING = b"\n  {\n", b"\n      }\n    ]\n  }"
    _STAT_BREAK = b"\n      },\n      {\n"
    _ENTRY_BREAK = _CLOSING + b"," + _OPENING
    _HEAD_END = b',\n    "stats": [\n      {\n'

    def __init__(self) -> None:
        self._next_entry = 0
        self._rowless: dict[int, Any] = {}
        super().__init__("per_instance_stats")

    def _reset(self) -> None:
        super()._reset()
        self._stats = Shared(f"{self._PREFIX}.stats", "/stats", Objects(self._STAT.shape), self._STAT)
        self._entries = Objects(self._ENTRY.shape, shared=["stats"])
        self._lengths = array("i")
        self._entry_numbers = array("q")
        self._firsts: list[int] = []
        self._shared = (self._stats,)

    def _clear_staged(self) -> None:
        super()._clear_staged()
        self._staged_lengths: deque[list[int]] = deque()
        self._staged_rowless: dict[int, Any] = {}
        self._rowless_residuals: list[Residual] = []

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        lengths: list[list[int]] = [[] for _ in files]
        for owners, regions in _batches(files, self._OPENING, self._CLOSING):
            found = layout_split.split(regions, self._STAT_BREAK)
            for owner, of_region in zip(owners, self._stage_pieces(found), strict=True):
                lengths[owner] += of_region
        self._staged_lengths.extend(lengths)
        for file, of_file in zip(files, lengths, strict=True):
            file.count = len(of_file)
        return [sum(of_file) for of_file in lengths]

    def _stage_pieces(self, found: layout_split.Split) -> list[list[int]]:
        """Stage what regions were cut into; how many stats each entry of each region has."""
        alone, across = self._pieces(found.distinct)
        numbers = alone.take(found.codes)
        places = pc.indices_nonzero(pc.equal(numbers, scalar(-1, pa.int32())))
        plain, staged = array("i"), array("i")
        _extend_codes(plain, numbers)
        entries: list[tuple[Any, int]] = []
        begins: list[int] = []  # of each entry, in `staged`
        firsts: list[int] = []  # of each region, in `entries`
        regions = accumulate(found.counts, initial=0)
        region, done = next(regions), 0
        for place, code in zip(places.to_pylist(), found.codes.take(places).to_pylist(), strict=True):
            staged += plain[done:place]
            if place == region:
                firsts.append(len(entries))
                if across[code][0].entry is None:
                    raise NotPlainError
                region = next(regions)
            for entry, number in across[code]:
                if entry is not None:
                    begins.append(len(staged))
                    entries.append(entry)
                staged.append(number)
            done = place + 1
        if len(firsts) != len(found.counts):
            raise NotPlainError
        staged += plain[done:]
        self._stats.codes += staged
        structs, quotes = zip(*entries, strict=True)
        if self._entries.extend(structs, exact=False) != sum(quotes):
            raise NotPlainError
        if any(entry.stats is not None for entry in structs):
            raise NotPlainError
        lengths = [end - begin for begin, end in pairwise([*begins, len(staged)])]
        return [lengths[begin:end] for begin, end in pairwise([*firsts, len(entries)])]

    def _pieces(self, distinct: pa.BinaryArray) -> tuple[pa.Int32Array, dict[int, list["_Part"]]]:
        """What stands in each piece: a stat, or the end of an entry, the next one's head, and its first stat.

        Returns:
            By code the number of the stat that a piece is, -1 for one that lies across entries; and by code the parts
            of each of these.
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
                    raise NotPlainError
                headed.append(bool(end))
                inner.append(stat)
        require_plain(heads)
        entries = zip(self._ENTRY.plain_pieces(heads), (head.count(QUOTE) for head in heads), strict=True)
        found = self._stats.number_insides([*alone, *inner])
        numbers = pa.repeat(scalar(-1, pa.int32()), len(distinct))
        numbers = pc.replace_with_mask(numbers, is_alone, pa.array(found[: len(alone)], pa.int32()))
        told = (next(entries) if is_headed else None for is_headed in headed)
        lying = map(_Part, told, found[len(alone) :])
        across = pc.indices_nonzero(is_across).to_pylist()
        return numbers, {code: list(islice(lying, count)) for code, count in zip(across, counts, strict=True)}

    def _stage(self, chunk: Chunk) -> None:
        decoded = self._ENTRY.careful(chunk)
        # An entry that is no object has a row, without a stat.
        no_objects = {index for index, residual in decoded.residuals.items() if is_no_object(residual)}
        raws_of = [
            [_NO_STAT] if index in no_objects else entry.stats or [] for index, entry in enumerate(decoded.structs)
        ]
        _require_few_rows(chunk, list(map(len, raws_of)))
        self._entries.extend(decoded.structs, exact=True)
        numbers = self._stats.number_pieces(list(chain.from_iterable(raws_of)))
        self._stats.codes.extend(numbers)
        lengths = list(map(len, raws_of))
        self._staged_lengths.append(lengths)
        self._add_staged(len(numbers))
        if 0 in lengths:
            self._stage_rowless(chunk, lengths)
        first = 0
        for index, length in enumerate(lengths):
            if index in decoded.residuals and length:
                self._stage_residual(decoded.residuals[index], first, length)
            elif index in decoded.residuals:
                self._rowless_residuals.append(decoded.residuals[index])
            first += length

    def _stage_residual(self, residual: Residual, first: int, length: int) -> None:
        """An entry's residual stands in its first row; but what will be a column belongs in all of its rows."""
        self._staged_residuals[first] = residual
        parameters = {
            place: value
            for place, value in residual.items()
            if place.startswith(_PARAMETERS) and place not in _DECLARED and value is not None
        }
        for row in range(first + 1, first + length) if parameters else ():
            self._staged_residuals[row] = parameters

    def staged_residuals(self) -> Iterator[Residual]:
        """See `Rows`; of entries without a row too, as of one whose stats are no array."""
        yield from super().staged_residuals()
        yield from self._rowless_residuals

    def _stage_rowless(self, chunk: Chunk, lengths: Sequence[int]) -> None:
        for index, (begin, end) in enumerate(chunk.elements()):
            if not lengths[index]:
                self._staged_rowless[chunk.first + index] = parse(memoryview(chunk.buffer)[begin:end])

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        lengths = self._staged_lengths.popleft() if self._staged_lengths else []
        self._firsts.extend(accumulate(lengths[:-1], initial=self.rows) if lengths else ())
        self._lengths.extend(lengths)
        self._entry_numbers.extend(range(self._next_entry, self._next_entry + len(lengths)))
        self._next_entry += len(lengths)
        self._rowless.update(self._staged_rowless)
        self._staged_rowless = {}
        self._rowless_residuals.clear()
        super().keep(key, name, json_bytes)

    def drop(self) -> None:
        """See `Rows`."""
        self._entries.truncate(len(self._lengths))
        self._rowless_residuals.clear()
        super().drop()

    def rowless_entries(self) -> dict[int, Any]:
        """Entries of the run at hand without a row to stand in, staged ones too, by their place in the file."""
        return self._rowless | self._staged_rowless

    def end_run(self) -> None:
        """See `Rows`."""
        self._next_entry = 0
        self._rowless = {}
        super().end_run()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        codes = _entry_of_row(self._lengths)
        for name, column in self._entries.columns(self._PREFIX):
            yield name, taken(column, codes)
        yield registry.ENTRY, int64(self._entry_numbers).take(codes)
        yield from super()._columns()

    def _pointer_of(self, part: Shared, row: int) -> str:
        return f"/stats/{row - self._firsts[bisect_right(self._firsts, row) - 1]}"


class _Part(NamedTuple):
    """What stands in a piece that lies across entries.

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
    files: Sequence[Chunk], opening: bytes, closing: bytes
) -> Iterator[tuple[list[int], list[layout_split.Region]]]:
    """The insides of files' elements, some regions at a time, and which file each is of."""
    owners: list[int] = []
    regions: list[layout_split.Region] = []
    size = 0
    for number, file in enumerate(files):
        for region in layout_split.cuts(file, layout_split.ELEMENT_END, layout_split.BATCH_BYTES):
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
    """No entry may have more than `MAX_STAGED_ROWS` stats, nor all of a chunk together."""
    if sum(lengths) <= MAX_STAGED_ROWS:
        return
    for index, length in enumerate(lengths):
        if length > MAX_STAGED_ROWS:
            expected = f"an entry of at most {MAX_STAGED_ROWS:,} stats"
            raise chunk.too_large(chunk.begin_of(index), expected, f"one of {length:,}", index)
    if not chunk.is_part:
        raise CrowdedError
