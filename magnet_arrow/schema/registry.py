"""The registry: which tables there are, and which columns each has.

What the structs say (name, type, optional, since which release) is derived from them; `schemas/*.json` shows the
result, is the published contract, and a test holds the two together.

**Names.** A nested object becomes dotted columns under its table's prefix: `run_spec.adapter_spec.method`. A list
stays one list column, of structs where its items are objects: `run_spec.metric_specs`. `run_spec.name` is in every
table, first.

**Free-form objects** (`args`, `output_mapping`, `extra_data`, a perturbation's undeclared parameters) become dotted
columns that are found in the data, to `LEVELS` levels: `run_spec.scenario_spec.args.subject`. A key that holds a dot,
a quote or a backslash, or is empty, is quoted as JSON text in the name, so that it can't be taken for another:
`args."a.b"` is the key `a.b`, `args.a.b` the key `b` in the object `a`. An object that cannot be flattened (it is empty
or null, has more than `MAX_KEYS` different keys in one run, or a key that is no text) is JSON text in the column of
its own name, `run_spec.scenario_spec.args`. Inside lists, and in `annotations`, free-form values are JSON text.

**SQL** takes dots only between quotes and folds case, so there each column has a second name: `stats_name_name`.
"""

import enum
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Literal

import pyarrow as pa
from msgspec import Struct

from magnet_arrow.decode.wire import escape
from magnet_arrow.errors import ColumnNotFoundError
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import Field, FreeForm, ListOf, Object, Scalar, Shape, object_shape
from magnet_arrow.helm.structs import Doc
from magnet_arrow.helm.summary_structs import DisplayPrediction, DisplayRequest, SchemaFile, Summary
from magnet_arrow.helm.summary_structs import Table as HelmTable

SCHEMA_VERSION = 1
LEVELS = 4
MAX_KEYS = 64
MAX_DYNAMIC_COLUMNS = 1024
_MAX_KEY_BYTES = 256

RUN_NAME = "run_spec.name"
RUN = "magnet.run"
ROW = "magnet.row"
ENTRY = "magnet.entry"
EXTRA = "magnet.extra"


class Column(Struct, frozen=True):
    """One registered column of a table.

    Attributes:
        name: dotted.
        type: Arrow type; text is `string`, JSON text too.
        nullable: whether a row can lack a value.
        doc: one line.
        helm_type: what HELM declares there; empty for our own columns.
        since: first HELM release that writes it; empty for our own.
        until: last HELM release that writes it; None if 0.5.16 still does.
        pointer: JSON pointer from the row's element (scenario_state: from the file's root for the adapter spec).
        json_text: the texts in it that are JSON, by their paths in Parquet.
    """

    name: str
    type: pa.DataType
    doc: str
    nullable: bool = True
    helm_type: str = ""
    since: str = ""
    until: str | None = None
    pointer: str = ""
    json_text: tuple[str, ...] = ()


class DynamicObject(Struct, frozen=True):
    """A free-form object whose keys become columns.

    Attributes:
        name: dotted name of the object; its keys follow it.
        pointer: JSON pointer from the row's element.
        open: the object has registered columns too; only its other keys are found in the data.
        unbounded: exempt from `MAX_KEYS` (HELM's scenarios have some 130 different arguments).
    """

    name: str
    pointer: str
    doc: str
    open: bool = False
    unbounded: bool = False


class Form(enum.Enum):
    """How the file of a table is built."""

    OBJECT = "one object"
    ARRAY = "an array, an element a row"
    STATE = "an object with an array of request states"
    ENTRIES = "an array of entries with an array of stats each"
    MAP = "an object, a key a row"
    TEXTS = "any file, as text"


class Table(Struct, frozen=True):
    """One table: what a row is, and its columns in registered order, hidden ones last.

    Attributes:
        name: of the table, and prefix of its columns.
        file: the file that it is read from; empty for `files`.
        form: how that file is built.
        row: what a row is.
        of: whether the file is one of a run or of a suite.
        struct: what HELM declares an element to be; None where it is no object with declared fields.
    """

    name: str
    file: str
    form: Form
    row: str
    of: Literal["run", "suite"]
    struct: type[Struct] | None
    columns: tuple[Column, ...]
    dynamic_objects: tuple[DynamicObject, ...]
    hidden: tuple[str, ...]
    file_order: tuple[str, ...]
    """Names of columns and free-form objects, in the order in which HELM writes their keys."""

    @property
    def names(self) -> list[str]:
        """Names of all registered columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """The registered column of this name.

        Raises:
            ColumnNotFoundError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise ColumnNotFoundError.among(name, self.names, table=self.name)

    def named(self, path: str) -> str:
        """The name of the column at a dotted path below the table's prefix, checked to be registered.

        Raises:
            ColumnNotFoundError: there is none.
        """
        return self.column(f"{self.name}.{path}").name

    def dynamic_object_of(self, name: str) -> DynamicObject | None:
        """The free-form object that a column found in the data belongs to."""
        owners = [owner for owner in self.dynamic_objects if name == owner.name or name.startswith(owner.name + ".")]
        return max(owners, key=lambda owner: len(owner.name), default=None)

    def sql_names(self, found: Iterable[str] = ()) -> dict[str, str]:
        """The SQL name of each registered column, then of those found in the data, by name.

        Where two would have the same, the later one is numbered; registered ones keep theirs whatever is found.
        """
        names = (*self.names, *sorted(found))
        return dict(zip(names, numbered(map(sql_name, names)), strict=True))

    def to_json(self) -> dict[str, Any]:
        """The published contract of this table, as in `schemas/<name>.json`."""
        sql_names = self.sql_names()
        return {
            "table": self.name,
            "schema_version": SCHEMA_VERSION,
            "file": self.file,
            "row": self.row,
            "columns": [
                _published(column, sql_names[column.name], hidden=column.name in self.hidden) for column in self.columns
            ],
            "found_in_the_data": [
                {"prefix": f"{owner.name}.", "description": owner.doc} for owner in self.dynamic_objects
            ],
        }


def _published(column: Column, sql: str, *, hidden: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "sql_name": sql,
        "type": type_text(column.type),
        "nullable": column.nullable,
        "helm_type": column.helm_type,
        "helm_versions": f"{column.since} to {column.until or 'today'}" if column.since else "",
        "description": column.doc,
    }
    return entry | {"hidden": True} if hidden else entry


def type_text(arrow: pa.DataType) -> str:
    """An Arrow type in words, such as `list<string>`."""
    return str(arrow).replace("element: ", "").replace("item: ", "")


def numbered(names: Iterable[str]) -> list[str]:
    """The names, each once: where two are the same, the later one is numbered.

    >>> numbered(["a", "b", "a", "a_2", "a"])
    ['a', 'b', 'a_2', 'a_2_2', 'a_3']
    """
    taken: dict[str, None] = {}
    for name in names:
        others = (f"{name}_{number}" for number in itertools.count(2))
        taken[next(free for free in itertools.chain([name], others) if free not in taken)] = None
    return list(taken)


def sql_name(name: str) -> str:
    """A column's name in lower case, with `_` for whatever stands between letters and digits.

    >>> sql_name("stats.name.computed_on"), sql_name('run_spec.scenario_spec.args."K.1"')
    ('stats_name_computed_on', 'run_spec_scenario_spec_args_k_1_')
    """
    return re.sub(r"[\W_]+", "_", name.lower())


def key_part(key: str) -> str | None:
    """A free-form key as a part of a column's name; None if no column can be named so.

    >>> key_part("subject"), key_part("a.b"), key_part("")
    ('subject', '"a.b"', '""')
    """
    return _known_part(key) if len(key) <= _MAX_KEY_BYTES else None  # a longer one is not to be kept


@lru_cache(maxsize=4096)
def _known_part(key: str) -> str | None:
    try:
        if len(key.encode()) > _MAX_KEY_BYTES or "\0" in key:
            return None
    except UnicodeEncodeError:  # half a surrogate pair
        return None
    plain = key and not any(sign in key for sign in '."\\')
    return key if plain else json.dumps(key, ensure_ascii=False)


def key_parts(name: str) -> list[str]:
    """The keys that a dotted name below a free-form object stands for: the inverse of `key_part`.

    >>> key_parts('a."b.c".d')
    ['a', 'b.c', 'd']
    """
    keys = []
    decoder = json.JSONDecoder()
    at = 0
    while at <= len(name):
        if name.startswith('"', at):
            key, at = decoder.raw_decode(name, at)
        else:
            end = name.find(".", at)
            key, at = (name[at:], len(name)) if end < 0 else (name[at:end], end)
        keys.append(key)
        at += 1
    return keys


def pointer_of(owner: DynamicObject, name: str) -> str:
    """JSON pointer, from the row's element, of a column found in the data."""
    if name == owner.name:
        return owner.pointer
    return owner.pointer + "".join(f"/{escape(key)}" for key in key_parts(name[len(owner.name) + 1 :]))


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type of a value inside a list; an object there is a struct, a free-form one JSON text."""
    match shape:
        case Scalar(python=python):
            return _SCALARS[python]
        case FreeForm():
            return pa.string()
        case ListOf(item=item):
            return pa.list_(arrow_type(item))
        case Object(fields=fields):
            return pa.struct([pa.field(field.name, arrow_type(field.shape)) for field in fields])


_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def helm_type(shape: Shape) -> str:
    """What HELM declares, in the words of `helm_fields.json`."""
    match shape:
        case Scalar(python=python):
            return {str: "string", int: "integer", float: "number", bool: "boolean"}[python]
        case FreeForm(keyed=keyed):
            return "map<string,any>" if keyed else "any"
        case ListOf(item=item):
            return f"array<{helm_type(item)}>"
        case Object(struct=struct):
            return f"object<{struct.__name__}>"


def columns_of(
    shape: Object, prefix: str, pointer: str = "", outer: Doc | None = None
) -> Iterator[Column | DynamicObject]:
    """The flattened columns of an object, in HELM's order; one `DynamicObject` for those that depend on the data."""
    for field in shape.fields:
        name, place = f"{prefix}.{field.name}", f"{pointer}/{field.name}"
        doc = _narrowed(field.doc, outer)
        match field.shape:
            case Object():
                yield from columns_of(field.shape, name, place, doc)
            case FreeForm(keyed=True):
                yield DynamicObject(name, place, doc.description, unbounded=place == "/scenario_spec/args")
            case _:
                yield _column(field, name, place, doc)
    if shape.open:
        yield DynamicObject(prefix, pointer, "parameters that HELM's own perturbations do not have", open=True)


def _column(field: Field, name: str, place: str, doc: Doc) -> Column:
    return Column(
        name,
        arrow_type(field.shape),
        doc.description,
        helm_type=helm_type(field.shape),
        since=doc.since,
        until=doc.until,
        pointer=place,
        json_text=tuple(_json_text(field.shape, name)),
    )


def _json_text(shape: Shape, path: str) -> Iterator[str]:
    match shape:
        case FreeForm():
            yield path
        case ListOf(item=item):
            yield from _json_text(item, f"{path}.list.element")
        case Object(fields=fields):
            for field in fields:
                yield from _json_text(field.shape, f"{path}.{field.name}")


def _narrowed(doc: Doc, outer: Doc | None) -> Doc:
    """The field's description, with the releases that write both it and the object that it is in."""
    if outer is None:
        return doc
    untils = [until for until in (doc.until, outer.until) if until]
    since = max(doc.since, outer.since, key=_release)
    return Doc(doc.description, since, min(untils, key=_release) if untils else None)


@cache
def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class _Head(Struct, frozen=True):
    """What a table is, without its columns; see `Table`."""

    name: str
    file: str
    form: Form
    row: str
    struct: type[Struct] | None
    of: Literal["run", "suite"] = "run"


def _table(head: _Head, found: list[Column | DynamicObject]) -> Table:
    form, of = head.form, head.of
    own = [
        Column(RUN, pa.string(), f"place of the {of}: source, suite and folder", nullable=False),
        Column(ROW, pa.int64(), "place of the row in its file, from 0", nullable=False),
    ]
    if form is Form.ENTRIES:
        own.append(Column(ENTRY, pa.int64(), "place in its file of the entry that the row is of", nullable=False))
    own.append(Column(EXTRA, pa.string(), "what no column holds: JSON text of values by JSON pointer; null if none"))
    columns = [column for column in found if isinstance(column, Column) and (column.name != RUN_NAME or of == "suite")]
    dynamic_objects = tuple(owner for owner in found if isinstance(owner, DynamicObject))
    named = [_RUN_NAME_COLUMN] if of == "run" else []
    hidden = tuple(column.name for column in own)
    order = (*(column.name for column in named), *(part.name for part in found if part.name != RUN_NAME), *hidden)
    return Table(
        head.name,
        head.file,
        form,
        head.row,
        of,
        head.struct,
        (*named, *columns, *own),
        dynamic_objects,
        hidden,
        order,
    )


_RUN_NAME_COLUMN = Column(
    RUN_NAME, pa.string(), "name of the run, unique in its suite", False, "string", "0.1.0", None, "/name"
)


def _struct(struct: type[Struct], prefix: str, skip: tuple[str, ...] = ()) -> list[Column | DynamicObject]:
    shape = object_shape(struct)
    kept = tuple(field for field in shape.fields if field.name not in skip)
    return list(columns_of(Object(shape.struct, kept, open=shape.open), prefix))


STATE_REST = Object(
    structs.ScenarioState,
    tuple(field for field in object_shape(structs.ScenarioState).fields if field.name != "request_states"),
)
"""What a scenario state holds beside its request states; the same for every row of a run."""


def _scenario_state() -> Table:
    rest = list(columns_of(STATE_REST, "scenario_state"))
    before = [column for column in rest if column.name.startswith("scenario_state.adapter_spec.")]
    after = [column for column in rest if column not in before]
    requests = _struct(structs.RequestState, "scenario_state.request_states")
    row = "one request state of a run"
    head = _Head("scenario_state", "scenario_state.json", Form.STATE, row, structs.RequestState)
    return _table(head, before + requests + after)


def _per_instance_stats() -> Table:
    entry = _struct(structs.PerInstanceStats, "per_instance_stats", ("stats",))
    stats = _struct(structs.Stat, "per_instance_stats.stats")
    row = "one stat of an instance"
    head = _Head("per_instance_stats", "per_instance_stats.json", Form.ENTRIES, row, structs.PerInstanceStats)
    return _table(head, entry + stats)


def _of_struct(
    name: str, form: Form, row: str, struct: type[Struct], *, of: Literal["run", "suite"] = "run", first: str = ""
) -> Table:
    """A table whose elements are one struct; `first` is a column of ours before its fields."""
    own: list[Column | DynamicObject] = (
        [Column(f"{name}.{first}", pa.string(), "file that it is in", False)] if first else []
    )
    return _table(_Head(name, f"{name}.json", form, row, struct, of), own + _struct(struct, name))


def _plain(name: str, file: str, form: Form, row: str, docs: dict[str, str], of: Literal["run", "suite"]) -> Table:
    found: list[Column | DynamicObject] = [
        Column(f"{name}.{column}", pa.string(), doc, nullable=False) for column, doc in docs.items()
    ]
    return _table(_Head(name, file, form, row, None, of), found)


_SUITES = {"run": "name of the run", "suite": "suite that the release takes it from"}
_FILES = {"path": "path of the file in the folder of the run or suite, `/` between its parts", "text": "all of it"}


def _build() -> Mapping[str, Table]:
    tables = (
        _of_struct("run_spec", Form.OBJECT, "one run", structs.RunSpec),
        _scenario_state(),
        _of_struct("stats", Form.ARRAY, "one stat of a run", structs.Stat),
        _per_instance_stats(),
        _of_struct("scenario", Form.OBJECT, "one run", structs.Scenario),
        _of_struct("instances", Form.ARRAY, "one instance of a run", structs.Instance),
        _of_struct("display_predictions", Form.ARRAY, "one prediction shown", DisplayPrediction),
        _of_struct("display_requests", Form.ARRAY, "one request shown", DisplayRequest),
        _plain("files", "", Form.TEXTS, "one other file of a run", _FILES, "run"),
        _plain("runs_to_run_suites", "runs_to_run_suites.json", Form.MAP, "one run of a release", _SUITES, "suite"),
        _of_struct("run_specs", Form.ARRAY, "one run spec that summarize met", structs.RunSpec, of="suite"),
        _of_struct("schema", Form.OBJECT, "one suite", SchemaFile, of="suite"),
        _of_struct("summary", Form.OBJECT, "one suite", Summary, of="suite"),
        _of_struct("groups", Form.ARRAY, "one table of the leaderboard", HelmTable, of="suite", first="file"),
        _plain("suite_files", "", Form.TEXTS, "one other file of a suite", _FILES, "suite"),
    )
    return {table.name: table for table in tables}


TABLES: Mapping[str, Table] = _build()
"""All tables, by name: the four of every run first, in the order of HELM's files."""

RUN_TABLES = tuple(table for table in TABLES.values() if table.of == "run")
SUITE_TABLES = tuple(table for table in TABLES.values() if table.of == "suite")


def table(name: str) -> Table:
    """The table of this name.

    Raises:
        ColumnNotFoundError: there is none.
    """
    if name not in TABLES:
        raise ColumnNotFoundError.among(name, TABLES, table="the cache", what="table")
    return TABLES[name]
