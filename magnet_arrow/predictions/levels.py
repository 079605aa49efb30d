"""What a predictor may see of the held-out run: which frames and columns exist at each level."""

from typing import Literal, TypeAlias, get_args

import polars as pl

from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.schema.registry import RUN_NAME, TABLES

Level: TypeAlias = Literal["plan", "items", "outputs", "outcomes"]
"""What of a run is visible. Each level has what those before it have.

- "plan": the run spec.
- "items": instances with their inputs, perturbations and references, without the tags that say which one is correct.
- "outputs": all columns of request states but annotations: prompts, completions, log-probabilities; also tags, as in
  MAGNET.
- "outcomes": per-instance stats.
"""
LEVELS: tuple[Level, ...] = get_args(Level)

_STATE = TABLES["scenario_state"]
_ANNOTATIONS = _STATE.named("request_states.annotations")
_REFERENCES = _STATE.named("request_states.instance.references")
_INPUT = _STATE.named("request_states.instance.input.text").removesuffix("text")
_PERTURBATION = _STATE.named("request_states.instance.perturbation.name").removesuffix("name")
_ITEM_COLUMNS = {
    PREDICT_ID,
    RUN_NAME,
    *RUN_COLUMNS,
    _STATE.named("request_states.train_trial_index"),
    _STATE.named("request_states.instance.id"),
    _STATE.named("request_states.instance.split"),
    _STATE.named("request_states.instance.sub_split"),
    _REFERENCES,
}


def check_level(name: str, level: str) -> None:
    """Raise if there is no such level.

    Raises:
        SettingError: there is none.
    """
    check_choice(name, level, LEVELS)


def sees(level: Level, what: Level) -> bool:
    """Whether a level has what another one has."""
    return LEVELS.index(level) >= LEVELS.index(what)


def visible_states(states: pl.DataFrame, level: Level) -> pl.DataFrame:
    """The columns of request states that exist at a level from "items" on."""
    if sees(level, "outputs"):
        return states.drop(_ANNOTATIONS, *_STATE.hidden, strict=False)
    kept = [name for name in states.columns if name in _ITEM_COLUMNS or name.startswith((_INPUT, _PERTURBATION))]
    return states.select(_without_tags(states) if name == _REFERENCES else pl.col(name) for name in kept)


def _without_tags(states: pl.DataFrame) -> pl.Expr:
    """The references with nothing but their output: named, so that a field that HELM adds is not shown."""
    if states.schema[_REFERENCES] == pl.Null:
        return pl.col(_REFERENCES)
    output = pl.struct(pl.element().struct.field("output"))
    return pl.col(_REFERENCES).list.eval(output)
