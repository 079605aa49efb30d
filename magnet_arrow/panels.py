"""Panels: the score of every model on every item, of runs or of tables of any origin."""

from magnet_arrow.helm.layout import Source
from magnet_arrow.predictions.panel import Panel, load_panel
from magnet_arrow.predictions.panel_of_samples import Repeats, Wanted, panel_of_samples
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.runs.summaries import OF_SAMPLES, Summaries

__all__ = ["Panel", "load_panel", "panel"]


def panel(
    runs: "Summaries | Source",
    metric: str = "main",
    items: str = "item_key",
    *,
    split: str = "main",
    perturbation: str | None = None,
    trial: int | None = None,
    repeats: Repeats = "refuse",
    threshold: float | None = None,
) -> Panel:
    """The panel of runs: a row for each model (of the adapter spec), a column for each item.

    An item that a model was not asked, or has no score for, is missing. A score is the mean over train trials. Where an
    item is in a data set more than once, or in several of them, it is the mean over these, and `Panel.repeats` counts
    them. `Panel.excluded` counts the samples that are in no cell: those of runs without a main metric, and those
    without a key, because their text is redacted, encrypted or empty.

    Args:
        runs: runs, suites, an outputs folder, or a path of these.
        metric: "main" for the main metric of each run, or the name of a stat.
        items: the column of `samples()` that names the item. Instance ids are accepted if each is one question.
        split: "main" for the split of the main metric (test, else valid, where a run has none), or the name of one.
        perturbation: None for the unperturbed questions, or the name of a perturbation.
        trial: just this train trial instead of the mean.
        repeats: several runs of one scenario by one model, such as two recipes, are an error if they have items in
            common; "mean" averages over them.
        threshold: makes scores 0 or 1, see `Panel.binary`.

    Raises:
        ColumnNotFoundError: there is no such metric or column.
        PanelError: no sample is left, a score is NaN, several runs of one scenario by one model share an item, or
            one name of an item stands for several questions.

    >>> from magnet_arrow import HelmOutputs
    >>> owls = panel(HelmOutputs.demo().suites("my-suite"))
    >>> owls
    <Panel 2 models × 14 items>
    >>> owls.metrics.rows()
    [('exact_match', 'test', 4)]
    """
    chosen = runs if isinstance(runs, Summaries) else HelmRuns.coerce(runs)
    wanted = Wanted(metric, items, split, perturbation, trial, repeats)
    summarized = chosen._summarized(OF_SAMPLES)  # once: samples and main metrics are of one commit
    described = summarized.described()
    samples = summarized.scan_samples(described, "main" if metric == "main" else [metric])
    found = panel_of_samples(samples, described, wanted)
    return found if threshold is None else found.binary(threshold)
