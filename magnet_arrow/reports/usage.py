"""The section about what a dump cost: requests, tokens and seconds, by model."""

import polars as pl

from magnet_arrow.pages import Block, Paragraph, Section, Table
from magnet_arrow.reports.dump import Dump
from magnet_arrow.schema.registry import RUN, TABLES

_PER_INSTANCE = TABLES["per_instance_stats"]
_NAME, _SUM = _PER_INSTANCE.named("stats.name.name"), _PER_INSTANCE.named("stats.sum")
_STATS = {
    "num_prompt_tokens": "prompt tokens",
    "num_output_tokens": "output tokens",
    "inference_runtime": "seconds",
}
_PER_REQUEST = {"prompt tokens": "prompt tokens per request", "seconds": "seconds per request"}


def usage(dump: Dump) -> Section:
    """Requests, tokens and time of each model, perturbed questions and other trials included."""
    sums = _sums(dump)
    found = [name for name in _STATS.values() if name in sums.columns and sums[name].count()]
    if not found:
        return Section("Tokens and time", [Paragraph("The runs have no stats of tokens or time.")])
    shares = [(pl.col(name) / pl.col("requests")).alias(title) for name, title in _PER_REQUEST.items() if name in found]
    frame = sums.select("model", "runs", "requests", *found).with_columns(shares)
    formats = dict.fromkeys((*_STATS.values(), "prompt tokens per request"), ",.0f") | {"seconds": ",.1f"}
    formats["seconds per request"] = ".3f"
    lacking = [name for name in _STATS.values() if name not in found]
    blocks: list[Block] = [Table(frame, "By model, all runs together", formats)]
    if lacking:
        blocks.append(Paragraph(f"The runs do not say: {', '.join(lacking)}."))
    return Section("Tokens and time", blocks, _INTRO)


_INTRO = (
    "Sums of the stats num_prompt_tokens, num_output_tokens and inference_runtime over all instances, as HELM recorded "
    "them. Answers that HELM took from its own cache count as if they had been asked for. What the tokens cost in "
    "money is not in a dump."
)


def _sums(dump: Dump) -> pl.DataFrame:
    """One row per model: runs, requests, and the sum of each stat."""
    runs = pl.DataFrame(
        {
            RUN: list(dump.cached.keys),
            "model": dump.scores["model"],
            "requests": [run.rows("scenario_state").rows for run in dump.cached_runs],
        },
        schema_overrides={RUN: pl.String, "requests": pl.Int64},
    )
    stats = dump.cached.scan("per_instance_stats", key=True)
    if {_NAME, _SUM} <= set(stats.collect_schema()):
        wanted = stats.filter(pl.col(_NAME).is_in(list(_STATS))).select(RUN, _NAME, _SUM)
        by_run = wanted.group_by(RUN, _NAME).agg(pl.col(_SUM).sum()).collect()
        wide = by_run.with_columns(pl.col(_NAME).replace(_STATS)).pivot(_NAME, index=RUN, values=_SUM)
        runs = runs.join(wide, on=RUN, how="left", maintain_order="left")
    sums = [name for name in _STATS.values() if name in runs.columns]
    # Sorted, so that the last digit of a sum does not depend on the order of the runs.
    totals = [pl.when(pl.col(name).count() > 0).then(pl.col(name).sort().sum()).alias(name) for name in sums]
    groups = runs.group_by("model").agg(pl.len().alias("runs"), pl.col("requests").sum(), *totals)
    return groups.sort("model")
