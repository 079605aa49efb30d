"""The files that helm-summarize makes of a suite's runs, as msgspec structs: tables, schema, displayed predictions.

The rules are those of `structs`: one struct per HELM class, its fields in HELM's order, a `Doc` for each. Everything
here is derived from the files that helm-run wrote, and may be older than they are. schema.json came with HELM 0.4.0;
its classes are older, because the front end read them from a YAML file until then.
"""

from typing import Annotated, Any

from msgspec import field

from magnet_arrow.helm.structs import (
    Doc,
    HelmStruct,
    Instance,
    JsonObject,
    PerturbationDescription,
    Request,
    RunSpec,
    Stat,
)


class DisplayPrediction(HelmStruct, frozen=True, kw_only=True):
    """The answer to a request, and its scores.

    One per request state that has a result, but none for calibration requests and for choices that were not made, so
    there may be fewer of them than of request states.
    """

    instance_id: Annotated[str, Doc("id of the instance; a text even where the scenario set a number", since="0.2.0")]
    perturbation: Annotated[PerturbationDescription | None, Doc("null for an original", since="0.2.0")] = None
    train_trial_index: Annotated[int, Doc("which draw of in-context examples, from 0", since="0.2.0")]
    predicted_text: Annotated[str, Doc("first completion; empty if there is none", since="0.2.0")]
    truncated_predicted_text: Annotated[
        str | None,
        Doc("the same without the question or first token that it repeats; null: it repeats none", since="0.2.0"),
    ] = None
    base64_images: Annotated[
        list[str] | None, Doc("pictures that were generated, in base64; empty for text", since="0.5.0")
    ] = None
    mapped_output: Annotated[
        str | None, Doc("text of the choice whose label was given; null: no choice, or no such label", since="0.2.0")
    ] = None
    reference_index: Annotated[
        int | None,
        Doc("place in the instance's references of the one chosen; null unless each is asked apart", since="0.2.0"),
    ] = None
    stats: Annotated[
        JsonObject,
        Doc("metric to its mean for the instance in this trial; only metrics that the schema shows", since="0.2.0"),
    ]
    annotations: Annotated[
        Any, Doc("annotator's name to its value, an object or a list of one a completion", since="0.5.0")
    ] = None
    thinking_text: Annotated[
        str | None, Doc("reasoning apart from the first completion; null: none", since="0.5.6")
    ] = None


class DisplayRequest(HelmStruct, frozen=True, kw_only=True):
    """The request behind the display prediction at the same place."""

    instance_id: Annotated[str, Doc("id of the instance; a text even where the scenario set a number", since="0.2.0")]
    perturbation: Annotated[PerturbationDescription | None, Doc("null for an original", since="0.2.0")] = None
    train_trial_index: Annotated[int, Doc("which draw of in-context examples, from 0", since="0.2.0")]
    request: Annotated[Request, Doc("what was sent to the model", since="0.2.0")]


class Summary(HelmStruct, frozen=True, kw_only=True):
    """summary.json: what was summarized, and when. HELM's class is ExecutiveSummary."""

    release: Annotated[str | None, Doc("name of the release; null for a single suite", since="0.2.4")] = None
    suites: Annotated[list[str] | None, Doc("suites that went in, also where it is only one", since="0.2.4")] = None
    suite: Annotated[str | None, Doc("name of the suite; null for a release")] = None
    date: Annotated[str, Doc("day of the summary, YYYY-MM-DD")]


class Field(HelmStruct, frozen=True, kw_only=True):
    """How something is displayed: name and description."""

    name: Annotated[str, Doc("name that runs, stats and adapter specs use")]
    display_name: Annotated[str | None, Doc("name for people; null: the plain one")] = None
    short_display_name: Annotated[str | None, Doc("name for table headers; null: the display name")] = None
    description: Annotated[str | None, Doc("explanation for people, often in Markdown")] = None
    lower_is_better: Annotated[bool | None, Doc("whether small values are good; null: neither way is")] = None


class ModelField(Field, frozen=True, kw_only=True):
    """A model, as HELM's registry describes it."""

    creator_organization: Annotated[str | None, Doc("who made it")] = None
    access: Annotated[str | None, Doc("open, limited or closed")] = None
    todo: Annotated[bool, Doc("whether it has still to be evaluated")] = False
    release_date: Annotated[str | None, Doc("day it came out, YYYY-MM-DD")] = None
    num_parameters: Annotated[int | None, Doc("parameters, mostly a round number; null: not published")] = None


class MetricNameMatcher(HelmStruct, frozen=True, kw_only=True):
    """Which stats a column of a table shows.

    Name and split may be templates such as ${main_name}, filled from a run group's environment.
    """

    name: Annotated[str, Doc("metric, or ${main_name}")]
    split: Annotated[str, Doc("split, or ${main_split}; __all__ for any")]
    sub_split: Annotated[str | None, Doc("part of the split; null: all parts, merged")] = None
    perturbation_name: Annotated[
        str | None, Doc("perturbation, of which the stat computed on the worst counts; null: unperturbed")
    ] = None


class MetricGroup(Field, frozen=True, kw_only=True):
    """Metrics that are shown together, such as accuracy or calibration."""

    metrics: Annotated[list[MetricNameMatcher], Doc("the metrics, in the order of their columns")] = field(
        default_factory=list
    )
    hide_win_rates: Annotated[bool | None, Doc("whether the column of win rates is left out", since="0.5.0")] = None
    aggregation_strategies: Annotated[
        list[str] | None,
        Doc("columns over all scenarios: mean, win_rate; null: win_rate", since="0.5.4"),
    ] = None


class TaxonomyInfo(HelmStruct, frozen=True, kw_only=True):
    """The place of a scenario in a taxonomy of tasks."""

    task: Annotated[str | None, Doc("kind of task, such as question answering")] = None
    what: Annotated[str | None, Doc("genre of the text, such as Wikipedia")] = None
    when: Annotated[str | None, Doc("when the text was written")] = None
    who: Annotated[str | None, Doc("who wrote the text, such as web users")] = None
    language: Annotated[str | None, Doc("language of the text")] = None


class RunGroup(Field, frozen=True, kw_only=True):
    """A scenario, or several, as a leaderboard shows it: `run_spec.groups` names these."""

    metric_groups: Annotated[list[str], Doc("metric groups that its tables show, by name")] = field(
        default_factory=list
    )
    subgroups: Annotated[list[str], Doc("run groups whose runs count in it too, by name")] = field(default_factory=list)
    sub_splits: Annotated[list[str] | None, Doc("sub-splits that get rows of their own; null: none")] = None
    subgroup_display_mode: Annotated[str, Doc("one table a metric group (by_metric) or one a subgroup (by_group)")] = (
        "by_metric"
    )
    subgroup_metric_groups_hidden: Annotated[
        list[str], Doc("metric groups that are left out for its subgroups", since="0.2.0")
    ] = field(default_factory=list)
    environment: Annotated[
        JsonObject, Doc("fills metric templates: main_name and main_split are the primary metric")
    ] = field(default_factory=dict)
    category: Annotated[str, Doc("table of the index in which it is listed")] = "Scenarios"
    visibility: Annotated[
        str, Doc("where its runs are shown: all_groups, this_group_only (not in their other groups), no_groups")
    ] = "all_groups"
    taxonomy: Annotated[TaxonomyInfo | None, Doc("what the scenario covers; null for groups of scenarios")] = None
    todo: Annotated[bool, Doc("whether it has still to be evaluated")] = False
    adapter_keys_shown: Annotated[
        list[str], Doc("fields of the adapter spec that tell its rows apart; runs equal in them are merged")
    ] = field(default_factory=lambda: ["model_deployment", "model"])
    short_description: Annotated[str | None, Doc("a line in place of the description", since="0.5.7")] = None


class SchemaFile(HelmStruct, frozen=True, kw_only=True):
    """schema.json: what a leaderboard shows, and how. HELM's class is Schema; up to 0.5.1 models came first."""

    metrics: Annotated[list[Field], Doc("metrics that are shown, others are not", since="0.4.0")] = field(
        default_factory=list
    )
    perturbations: Annotated[list[Field], Doc("perturbations that are shown", since="0.4.0")] = field(
        default_factory=list
    )
    metric_groups: Annotated[list[MetricGroup], Doc("metrics that are shown together", since="0.4.0")] = field(
        default_factory=list
    )
    run_groups: Annotated[list[RunGroup], Doc("scenarios, and groups of them", since="0.4.0")] = field(
        default_factory=list
    )
    adapter: Annotated[list[Field] | None, Doc("fields of an adapter spec, explained", since="0.4.0")] = None
    models: Annotated[
        list[ModelField], Doc("from 0.5.0 those that the runs use, in 0.4.0 all that HELM knew", since="0.4.0")
    ]


class Cell(HelmStruct, frozen=True, kw_only=True):
    """One cell of a table."""

    value: Annotated[Any, Doc("a text or a number; null: nothing to show, description may say why")] = None
    display_value: Annotated[str | None, Doc("what is shown in place of the value")] = None
    description: Annotated[str | None, Doc("what hovering shows: spread, counts, or why there is no value")] = None
    href: Annotated[str | None, Doc("link of the front end, mostly without host")] = None
    style: Annotated[JsonObject | None, Doc("CSS property to its value; bold marks a column's best")] = None
    markdown: Annotated[bool, Doc("whether the text is Markdown")] = False
    contamination_level: Annotated[
        str | None, Doc("weak or strong: the model may have seen the test set", since="0.2.0", until="0.4.0")
    ] = None
    run_spec_names: Annotated[list[str] | None, Doc("runs that went into the value", since="0.5.0")] = None


class HeaderCell(Cell, frozen=True, kw_only=True):
    """The head of a column; a plain cell in 0.1.0."""

    lower_is_better: Annotated[
        bool | None, Doc("whether small values are good; null: can't be compared", since="0.2.0")
    ] = None
    metadata: Annotated[
        JsonObject, Doc("metric, run_group and perturbation of the column, as they are shown", since="0.2.0")
    ] = field(default_factory=dict)


class Hyperlink(HelmStruct, frozen=True, kw_only=True):
    """A link below a table."""

    text: Annotated[str, Doc("what it says: compare all, LaTeX or JSON")]
    href: Annotated[str, Doc("URL of the front end, or a path as seen from where the summary was made")]


class Table(HelmStruct, frozen=True, kw_only=True):
    """A table of a leaderboard: mostly models down, metrics or scenarios across."""

    title: Annotated[str, Doc("heading; 'empty' where there was nothing to show")]
    header: Annotated[list[HeaderCell], Doc("heads of the columns")]
    rows: Annotated[list[list[Cell]], Doc("rows, each as long as the header; their order has no meaning")]
    links: Annotated[list[Hyperlink], Doc("its runs compared, the table in other forms")] = field(default_factory=list)
    name: Annotated[str | None, Doc("name within its group, such as the metric group; part of its file's name")] = None
    description: Annotated[str | None, Doc("text above the table")] = None


class GroupMetadata(HelmStruct, frozen=True, kw_only=True):
    """A run group in groups_metadata.json. HELM has no class for it, and writes nulls here."""

    display_name: Annotated[str | None, Doc("name for people")] = None
    description: Annotated[str | None, Doc("explanation for people, often in Markdown")] = None
    taxonomy: Annotated[TaxonomyInfo | None, Doc("what the scenario covers; null for groups of scenarios")] = None


class Run(HelmStruct, frozen=True, kw_only=True):
    """A run as runs.json repeats it."""

    run_path: Annotated[str, Doc("run's folder, as seen from where the summary was made")]
    run_spec: Annotated[RunSpec, Doc("the run's run_spec.json")]
    stats: Annotated[list[Stat], Doc("the run's stats.json")]


RUN_FILE_TYPES: dict[str, Any] = {
    "instances.json": list[Instance],
    "display_predictions.json": list[DisplayPrediction],
    "display_requests.json": list[DisplayRequest],
}
"""Type of each file's root that helm-summarize puts into a run's folder."""

SUITE_FILE_TYPES: dict[str, Any] = {
    "summary.json": Summary,
    "schema.json": SchemaFile,
    "run_specs.json": list[RunSpec],
    "runs.json": list[Run],
    "runs_to_run_suites.json": dict[str, str],  # run name to suite
    "costs.json": dict[str, dict[str, float]],  # model deployment to counts of tokens and requests
    "groups.json": list[Table],
    "groups_metadata.json": dict[str, GroupMetadata],
    "groups/*.json": list[Table],
    "groups/json/*.json": Table,
}
"""Type of each file's root in a suite's or a release's folder, by the pattern that finds it from there."""
