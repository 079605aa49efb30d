"""Columns of a request state in short: what was asked, what came back, and which option that is."""

import re
from collections.abc import Collection, Iterator

import polars as pl

from magnet_arrow.query.polars_types import polars_type
from magnet_arrow.schema.registry import TABLES, key_parts

_STATE = TABLES["scenario_state"]
_MAPPING = "scenario_state.request_states.output_mapping."
_PATTERN = "adapter_spec.output_mapping_pattern"
_SEPARATE, _REASONS = "multiple_choice_separate", "chain_of_thought"
"""How the names of methods begin that have a request per reference; and end that let a model reason first."""
_LETTERS = "".join(map(chr, range(ord("A"), 128)))
"""What HELM calls references: A, B, C and so on, whatever a prompt shows."""

# HELM 0.5.16, metrics/gpqa_chain_of_thought_metric.py: the letter in an answer that reasons first, tried in this order.
_REASONED = (
    r"answer is \(?([A-J])\)?",
    r"correct answer is [^A-Za-z]*([A-J])",
    r"correct answer is [^A-Z]*([A-J])",
)


def answer_columns(types: pl.Schema, methods: Collection[str], method: pl.Expr, picked: pl.Expr) -> list[pl.Expr]:
    """The columns `split` to `num_tokens` of samples.

    Args:
        types: of the request states' columns.
        methods: of the adapters of all runs: what none of them needs is not worked out.
        method: the adapter's method, by row.
        picked: which reference an adapter with one request per reference chose, by row.
    """
    has = _Columns(types)
    completions = has("result.completions")
    first = completions.list.first()
    options = list(has.options())
    reasoned = method if any(name.endswith(_REASONS) for name in methods) else None
    choice = _option(has, options, first.struct.field("text"), reasoned)
    references = has("instance.references")
    gold = references.list.eval(pl.element().filter(_is_correct()).struct.field("output").struct.field("text"))
    answer = _first_of([pl.when(choice == letter).then(text) for letter, text in options])
    gold_choice = _gold_options(options, gold)
    if any(name.startswith(_SEPARATE) for name in methods):
        per_reference = method.str.starts_with(_SEPARATE)
        texts = references.list.eval(pl.element().struct.field("output").struct.field("text"))
        choice = pl.when(per_reference).then(_letter(picked)).otherwise(choice)
        gold_choice = pl.when(per_reference).then(_gold_letters(references)).otherwise(gold_choice)
        answer = pl.when(per_reference).then(texts.list.get(picked, null_on_oob=True)).otherwise(answer)
    return [
        has("instance.split").alias("split"),
        has("instance.sub_split").alias("sub_split"),
        has("instance.id").alias("instance_id"),
        has("train_trial_index").alias("trial"),
        has("instance.perturbation.name").alias("perturbation"),
        _prompt(has).alias("prompt"),
        has("request.messages").alias("messages"),
        first.struct.field("text").alias("completion"),
        completions.list.eval(pl.element().struct.field("text")).alias("completions"),
        choice.alias("choice"),
        gold_choice.alias("gold_choice"),
        answer.alias("answer"),
        gold.alias("gold"),
        _media(has).alias("media"),
        first.struct.field("finish_reason").str.json_path_match("$.reason").alias("finish_reason"),
        first.struct.field("logprob").alias("logprob"),
        first.struct.field("tokens").list.len().alias("num_tokens"),
    ]


class _Columns:
    """The columns of request states; one that does not occur is null, of the type that it would have."""

    def __init__(self, types: pl.Schema) -> None:
        self._types = types

    def __call__(self, path: str) -> pl.Expr:
        name = _named(path)
        if self._types.get(name, pl.Null()) != pl.Null():
            return pl.col(name)
        return pl.lit(None, polars_type(_STATE.column(name).type))

    def options(self) -> Iterator[tuple[str, pl.Expr]]:
        """The letters that occur in an output mapping, and the texts that they stand for."""
        for name, dtype in self._types.items():
            if name.startswith(_MAPPING) and dtype == pl.String():
                yield key_parts(name.removeprefix(_MAPPING))[0], pl.col(name)

    def has(self, path: str) -> bool:
        """Whether the column occurs."""
        return _named(path) in self._types


def _named(path: str) -> str:
    return f"scenario_state.{path}" if path == _PATTERN else f"scenario_state.request_states.{path}"


def _prompt(has: _Columns) -> pl.Expr:
    """The text that was sent; of a prompt with media, its texts; null where messages were sent."""
    prompt = has("request.prompt")
    if has.has("request.multimodal_prompt.media_objects"):
        objects = has("request.multimodal_prompt.media_objects")
        texts = objects.list.eval(pl.element().struct.field("text").drop_nulls()).list.join("")
        prompt = pl.when(objects.is_not_null()).then(texts).otherwise(prompt)
    if has.has("request.messages"):
        prompt = pl.when(has("request.messages").is_null()).then(prompt)
    return prompt


def _media(has: _Columns) -> pl.Expr:
    """Where the media of the question are."""
    if not has.has("instance.input.multimedia_content.media_objects"):
        return pl.lit([], pl.List(pl.String))
    objects = has("instance.input.multimedia_content.media_objects")
    return objects.list.eval(pl.element().struct.field("location").drop_nulls()).fill_null([])


def _option(has: _Columns, options: list[tuple[str, pl.Expr]], text: pl.Expr, reasoned: pl.Expr | None) -> pl.Expr:
    """The letter that the text is, as HELM's metrics see it; null if it is none of the output mapping."""
    said = text.str.strip_chars()
    if has.has(_PATTERN):
        said = pl.when(has(_PATTERN).is_null()).then(said).otherwise(_matches(said, has(_PATTERN)))
    tried = [said]
    if reasoned is not None:
        tried += [pl.when(reasoned.str.ends_with(_REASONS)).then(text.str.extract(one)) for one in _REASONED]
    return _first_of(
        [
            pl.when((said == letter) & option.is_not_null()).then(pl.lit(letter))
            for said in tried
            for letter, option in options
        ]
    )


def _matches(texts: pl.Expr, patterns: pl.Expr) -> pl.Expr:
    """What each text has of its pattern, by Python's rules for patterns, which Polars does not have all."""

    def match(rows: pl.Series) -> pl.Series:
        distinct = rows.unique()
        found = [_match(**pair) for pair in distinct]
        return rows.to_frame("pair").join(
            pl.DataFrame({"pair": distinct, "found": pl.Series(found, dtype=pl.String)}),
            on="pair",
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )["found"]

    pairs = pl.struct(texts.alias("text"), patterns.alias("pattern"))
    return pairs.map_batches(match, return_dtype=pl.String, is_elementwise=True)


def _match(text: str | None, pattern: str | None) -> str | None:
    """As HELM 0.5.16, metrics/basic_metrics.py."""
    try:
        found = re.search(pattern, text) if text is not None and pattern is not None else None
    except re.error:
        return None
    return found and found[1 if found.re.groups else 0]


def _first_of(cases: list[pl.Expr]) -> pl.Expr:
    """The first that is not null."""
    return pl.coalesce(cases) if cases else pl.lit(None, pl.String)


def _gold_options(options: list[tuple[str, pl.Expr]], gold: pl.Expr) -> pl.Expr:
    """The letters of an output mapping whose texts are right: "C", or "A, C" where several are."""
    if not options:
        return pl.lit(None, pl.String)
    letters = [pl.when(text.is_not_null() & gold.list.contains(text)).then(pl.lit(letter)) for letter, text in options]
    joined = pl.concat_str(letters, separator=", ", ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def _gold_letters(references: pl.Expr) -> pl.Expr:
    """The letters of the references that are right."""
    letters = references.list.eval(_letter(_is_correct().arg_true().cast(pl.Int64))).list.join(", ")
    return pl.when(letters != "").then(letters)


def _letter(index: pl.Expr) -> pl.Expr:
    return pl.when(index.is_not_null()).then(pl.lit(_LETTERS).str.slice(index, 1))


def _is_correct() -> pl.Expr:
    return pl.element().struct.field("tags").list.contains("correct")
