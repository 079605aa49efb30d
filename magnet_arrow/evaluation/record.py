"""`Evaluation`: predictions next to the truth, how they were made, their scores and their ranking."""

import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import BadFileError, SettingError, Where
from magnet_arrow.evaluation.harness.budgets import ALL, Budget
from magnet_arrow.evaluation.harness.prediction_frame import PREDICTIONS
from magnet_arrow.evaluation.predictor_ranking import rank_predictors
from magnet_arrow.evaluation.report.page import report_of
from magnet_arrow.pages import Report, card, few
from magnet_arrow.predictions.panel_files import replacing
from magnet_arrow.sources.paths import readable_file
from magnet_arrow.statistics.prediction_scores import score

_METADATA = "magnet_arrow.evaluation"
_PROVENANCE = {"versions", "arguments", "predictors", "data", "folds"}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What predictors predicted, next to the truth.

    Attributes:
        predictions: a row for each value that a predictor was to predict: `predictor`, its `level`, `target`, `fold`
            and `draw` (from 0), `budget` (number of asked items; null for all), `model`, `scenario`, `item` (null if
            the value is a mean over items), `run` (null if the scores are of no run), `organisation` and `family`,
            `predicted` (null if it was not answered), `actual`, `train_mean` and `train_median` (the best constants of
            the fold's train part), `n_items` (behind `actual`), `noise_variance` (of `actual` about what can be known
            at this budget, by an item response model; null if scores are not 0 and 1), `stddev` (null if there is
            none), `error` (why it was not answered).
        provenance: seed and other arguments, versions, predictors, folds, and a digest of the scores.
    """

    predictions: pl.DataFrame
    provenance: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        """Whether predictions and provenance are the same."""
        if not isinstance(other, Evaluation):
            return NotImplemented
        return self.provenance == other.provenance and self.predictions.equals(other.predictions)

    __hash__ = None  # type: ignore[assignment]  # as of anything that compares by values which may change

    def __repr__(self) -> str:
        """How many predictors, folds and predictions there are, and how many values were not answered."""
        n_failed = self.predictions.get_column("predicted").null_count()
        failed = f", {n_failed:,} not answered" if n_failed else ""
        n_predictors, n_folds = len(self.provenance["predictors"]), len(self.provenance["folds"])
        return (
            f"<Evaluation {n_predictors:,} predictor{'s' * (n_predictors != 1)}, {n_folds:,} folds, "
            f"{self.predictions.height:,} predictions{failed}>"
        )

    def _repr_html_(self) -> str:
        arguments, data = self.provenance["arguments"], self.provenance["data"]
        names = [predictor["name"] for predictor in self.provenance["predictors"]]
        n_failed = self.predictions.get_column("predicted").null_count()
        by = f" by {arguments['folds']}" if arguments["folds"] else ""
        facts = {
            "target": arguments["target"],
            "folds": f"{len(self.provenance['folds']):,}{by}",
            "budgets": ", ".join(map(str, arguments["budgets"])),
            "data": ", ".join(
                [
                    counted(data["models"], "model"),
                    counted(data["items"], "item"),
                    counted(len(data["scenarios"]), "scenario"),
                ]
            ),
            "predictions": f"{self.predictions.height:,}, {n_failed:,} not answered",
            "predictors": ", ".join(few(names)),
        }
        return card("Evaluation", facts, ["ranking() ranks the predictors, report() makes a page."])

    @property
    def errors(self) -> pl.DataFrame:
        """Why values were not answered: `predictor`, `fold`, `name` (of the fold), `error`, `values` (how many)."""
        names = pl.DataFrame(self.provenance["folds"], schema={"fold": pl.Int64, "name": pl.String})
        failed = self.predictions.filter(pl.col("error").is_not_null())
        by_fold = failed.group_by("predictor", "fold", "error", maintain_order=True).agg(pl.len().alias("values"))
        named = by_fold.join(names, on="fold", how="left", maintain_order="left")
        return named.select("predictor", "fold", "name", "error", "values")

    def scores(
        self, by: str | Iterable[str] = ("predictor", "budget"), *, over: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """How good the predictions are, group by group, by every score that `magnet_arrow.score` has.

        Values that were not answered are excluded; `answered` counts the others.

        Args:
            by: the columns of `predictions` that make groups.
            over: the factors that intervals are over.
        """
        return score(self.predictions, by, over=over)

    def ranking(
        self, budget: Budget | None = None, *, level: str | None = None, over: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The predictors by their mean absolute error, the best first.

        A value that was not answered counts with the mean of the fold's train part. The error is the mean over the
        draws of a value, then over the values. Differences are tested by the two-way cluster jackknife, with Holm's
        correction for all pairs. Predictors are in the tie group of the best as far down as none is separated from it;
        the next group begins there.

        Rows: one per predictor.
        Columns: `rank`, `tie_group`, `predictor`, `n` (predictions), `answered`, `mae`, `skill` (1 − `mae` ÷ that of
        the best constant, the median of the train part), `noise_floor` (the `mae` of perfect predictions, null if it is
        not known); then, against the best: `behind` (how much larger its `mae` is), with an interval of 95%
        `behind_low` to `behind_high`, `p_holm`, `minimum_detectable` (the difference that would be found in 80% of
        cases), and `why` there is no interval.

        Args:
            budget: number of asked items, or "all"; the largest number if None.
            level: only predictors of this level. Those that see completions or tags and those that do not are not
                compared.
            over: what is seen as a draw from more: columns of `predictions`, such as `["model"]` for other models on
                just these scenarios. By default models and scenarios (items, if these are predicted); models alone if
                there are fewer than five scenarios.

        Raises:
            SettingError: there are predictors of several levels and none is named, or no predictions are left.
        """
        return rank_predictors(self._at(budget, level), over)

    def report(
        self, *, level: str | None = None, over: Sequence[str] | None = None, source: str | None = None
    ) -> Report:
        """The evaluation as one page of HTML: charts, rankings, largest errors, and how to repeat it.

        The page needs no other file and no network. All but the errors by budget are about the largest number of items
        asked. In a notebook the page is shown; `report().save("report.html")` writes it.

        Args:
            level: only predictors of this level.
            over: as for `ranking`.
            source: where the scores are, for the lines that repeat the evaluation; for want of it they say `data`.

        Raises:
            SettingError: no predictor has this level, or `over` names no factors.
            MissingPackageError: Altair or vl-convert is not installed: the extra `report`.
        """
        return report_of(self, level, over, source)

    def _at(self, budget: Budget | None, level: str | None) -> pl.DataFrame:
        levels = self.predictions.get_column("level").unique().sort().to_list()
        if level is not None and level not in levels:
            raise SettingError("There is nothing to rank.", expected=f"level {' or '.join(levels)}", found=repr(level))
        rows = self.predictions if level is None else self.predictions.filter(pl.col("level") == level)
        if len(levels) > 1 and level is None:
            raise SettingError(
                "A ranking holds predictors of one level.",
                found=" and ".join(levels),
                hint=f"Choose: level={levels[0]!r}.",
            )
        budgets = rows.get_column("budget")
        known = [ALL if one is None else one for one in budgets.unique().sort(nulls_last=True)]
        if budget is not None and budget not in known:
            expected = f"a budget among {', '.join(map(str, known))}"
            raise SettingError("There is nothing to rank.", expected=expected, found=str(budget))
        chosen = budgets.max() if budget is None else None if budget == ALL else budget
        return rows.filter(pl.col("budget").eq_missing(pl.lit(chosen, pl.Int64)))

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Writes `predictions` as Parquet, with the provenance as metadata; `load_evaluation` reads it.

        Raises:
            FolderNotWritableError: it cannot be written.
        """
        data = io.BytesIO()
        self.predictions.write_parquet(data, metadata={_METADATA: json.dumps(self.provenance)})
        with replacing(Path(path)) as file:
            file.write(data.getbuffer())


def load_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """The evaluation that `Evaluation.to_parquet` wrote.

    Raises:
        SourceNotFoundError: there is no such file.
        BadFileError: it holds no evaluation.
    """
    file = readable_file(path)
    try:
        text = pl.read_parquet_metadata(file).get(_METADATA)
        predictions = pl.read_parquet(file).rechunk()  # means of one chunk are the same to the last bit
        provenance = json.loads(text or "null")
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _no_evaluation(file, str(error)) from error
    if dict(predictions.schema) != dict(PREDICTIONS):
        raise _no_evaluation(file, f"columns {', '.join(predictions.columns)}")
    if not isinstance(provenance, dict) or not provenance.keys() >= _PROVENANCE:
        raise _no_evaluation(file, "no provenance in its metadata")
    return Evaluation(predictions, provenance)


def _no_evaluation(file: Path, found: str) -> BadFileError:
    return BadFileError(
        "It holds no evaluation.", where=Where(file=file.name), found=found, hint="Evaluation.to_parquet writes one."
    )
