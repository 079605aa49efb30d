"""Predictors as MAGNET's users write them: against its documented interface, with pandas idioms.

    python tests/magnet_users.py SUITE TABLES.json                                  # under aiq-magnet
    python -m magnet_arrow.magnet_compat tests/magnet_users.py SUITE TABLES.json    # under this package

It writes each table that they see or make, so that both can be compared.
"""

import json
import sys

import magnet
import pandas as pd
from magnet.backends.helm.helm_outputs import HelmRuns, HelmSuite, HelmSuiteRuns, HelmSuites
from magnet.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet.instance_predictor import InstancePrediction, InstancePredictor, _reindex_split
from magnet.predictor import RunPrediction, RunPredictor

COMPLETIONS = "scenario_state.request_states.result.completions"
NAME = "run_spec.name"


class MeanOfOthers(RunPredictor):
    """The mean of unperturbed stats over train runs of the same model; of all train runs where there is none."""

    def run_spec_filter(self, run_spec):
        return run_spec["adapter_spec"]["method"] == "multiple_choice_joint"

    def run_spec_dataframe_filter(self, row):
        return row["run_spec.scenario_spec.args.subject"] in ("anatomy", "philosophy")

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        specs, stats = train_split.run_specs, train_split.stats
        unperturbed = stats[stats["stats.name.perturbation.name"].isna() & stats["stats.mean"].notna()]
        merged = unperturbed.merge(specs.prefix["run_spec.adapter_spec"].join(specs[[NAME]]), on=NAME)
        keys = ["run_spec.adapter_spec.model", "stats.name.name", "stats.name.split"]
        means = merged.groupby(keys)["stats.mean"].mean()
        overall = merged.groupby(keys[1:])["stats.mean"].agg("mean")
        predictions = []
        for _, row in sequestered_test_split.run_specs.iterrows():
            for (metric, split), mean in overall.items():
                key = (row["run_spec.adapter_spec.model"], metric, split)
                mean = means[key] if key in means.index else mean
                predictions.append(RunPrediction(row[NAME], split, metric, mean, sum=mean))
        return predictions


class ByAnswer(InstancePredictor):
    """How often the answer's text was right in the train runs."""

    def predict(self, train_split, sequestered_test_split):
        states, stats = train_split.scenario_state, train_split.per_instance_stats
        matches = stats[stats["per_instance_stats.stats.name.name"] == "exact_match"]
        joined = pd.merge(states, matches, on=["magnet.instance_predict_id", NAME])
        joined["text"] = joined[COMPLETIONS].apply(lambda completions: completions[0]["text"])
        right = joined.groupby("text")["per_instance_stats.stats.mean"].mean().to_dict()
        predictions = []
        for (run,), rows in sequestered_test_split.scenario_state.groupby([NAME]):
            for _, row in rows.iterrows():
                assert isinstance(row[COMPLETIONS], list)
                json.dumps(row["scenario_state.request_states.instance.references"])
                text = row[COMPLETIONS][0]["text"]
                number = row["magnet.instance_predict_id"]
                predictions.append(InstancePrediction(run, number, "exact_match", right.get(text, 0.5)))
        return predictions


class FirstAgainstLast(ByAnswer):
    """The same, over splits of its own: all runs but the last one, and the last one."""

    def prepare_all_dataframes(self, helm_runs):
        runs = HelmRuns.coerce(helm_runs)
        train, test = runs[:-1], HelmRuns([runs.paths[-1]])
        splits = (
            TrainSplit(train.run_spec(), train.scenario_state(), train.stats(), train.per_instance_stats()),
            TestSplit(
                run_specs=test.run_spec(),
                scenario_state=test.scenario_state(),
                stats=test.stats(),
                per_instance_stats=test.per_instance_stats(),
            ),
        )
        for split in splits:
            split.scenario_state = split.scenario_state[split.scenario_state[COMPLETIONS].notna()]
            _reindex_split(split)
        return splits


def tables_of(suite_path: str) -> dict[str, pd.DataFrame]:
    """Every frame, split, prediction and comparison."""
    suite = HelmSuite(suite_path)
    runs = HelmRuns.coerce([str(path) for path in suite.runs().paths])
    assert HelmSuiteRuns is HelmRuns
    assert [run.path.name for run in runs] == [run.path.name for run in HelmSuites.coerce(suite_path).runs()]
    assert magnet.HelmOutputs(suite.path.parent.parent).suites(suite.name)[0].path == suite.path
    tables = {table: getattr(runs, table)() for table in ("run_spec", "scenario_state", "stats", "per_instance_stats")}
    tables["prefix"] = tables["stats"].prefix["stats.name"]
    tables["subframe"] = tables["stats"].prefix_subframe("stats.name.perturbation", drop_prefix=True)
    tables["suffix"] = tables["per_instance_stats"].suffix["name"]
    for kind in (MeanOfOthers, ByAnswer, FirstAgainstLast):
        for seed in (1, 2):
            tables |= {f"{kind.__name__} {seed} {name}": frame for name, frame in drawn(kind, seed, suite).items()}
    return tables


def drawn(kind: type, seed: int, suite: HelmSuite) -> dict[str, pd.DataFrame]:
    predictor = kind(num_example_runs=2, num_eval_samples=4, random_seed=seed)
    train, test = predictor.prepare_all_dataframes(suite)
    seen = test.sequester()
    assert seen.stats is seen.per_instance_stats is None
    predictions = predictor.predict(train, seen)
    predicted = type(predictions[0]).to_df(predictions)
    actual = test.stats if kind is MeanOfOthers else test.per_instance_stats
    splits = {
        f"{name}.{table}": getattr(split, table)
        for name, split in (("train", train), ("test", test), ("seen", seen))
        for table in ("run_specs", "scenario_state", "stats", "per_instance_stats")
        if getattr(split, table) is not None
    }
    comparison = predictor.compare_predicted_to_actual(predicted, actual)
    return {**splits, "predicted": predicted, "comparison": comparison}


def plain(frame: pd.DataFrame) -> dict[str, object]:
    """A frame as JSON: values by `repr`, which tells types of any depth apart."""
    return {
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "index": [str(label) for label in frame.index],
        "values": [[repr(value) for value in frame.iloc[:, column].tolist()] for column in range(frame.shape[1])],
    }


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({name: plain(frame) for name, frame in tables_of(sys.argv[1]).items()}, file)
