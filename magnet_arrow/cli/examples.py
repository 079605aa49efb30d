"""Examples that `--help` shows below the options of a command, in the order in which a newcomer would use them."""

EXAMPLES = {
    "": ("demo", "ingest benchmark_output", "head stats --columns stats.name.name,stats.mean"),
    "demo": ("demo", "demo --cache /tmp/magnet-demo"),
    "ingest": (
        "ingest benchmark_output",
        "ingest benchmark_output --runs 'mmlu:*' --workers 4",
        "ingest helm://lite --runs 'mmlu:*' --plan",
    ),
    "validate": ("validate benchmark_output", "validate 'benchmark_output/runs/*/mmlu:*' --json"),
    "ls": (
        "ls",
        "ls benchmark_output --incomplete",
        "ls --model 'made/*' --scenario 'MMLU*' --csv",
    ),
    "head": (
        "head stats",
        "head stats --columns stats.name.name,stats.mean -n 10",
        "head scenario_state --run 'mmlu:subject=anatomy*' --json",
    ),
    "sql": (
        "sql 'SHOW TABLES'",
        "sql 'SELECT stats_name_name, avg(stats_mean) FROM stats GROUP BY 1'",
        "sql 'FROM samples WHERE score = 0' --parquet failed.parquet",
    ),
    "scores": (
        "scores benchmark_output",
        "scores benchmark_output --metric exact_match --csv",
        "scores benchmark_output --by scenario,model",
    ),
    "rank": (
        "rank benchmark_output",
        "rank benchmark_output --by scenario --win-rates",
        "rank scores.csv --metric accuracy --pairs",
    ),
    "report": ("report benchmark_output", "report 'benchmark_output/runs/my-suite' --to my-suite.html"),
    "panel": (
        "panel benchmark_output --to scores.parquet",
        "panel benchmark_output --metric exact_match --to scores.csv",
    ),
    "export": ("export --to tables", "export --to tables --table stats --partition-by run_spec.adapter_spec.model"),
    "schemas": ("schemas", "schemas stats", "schemas --write schemas"),
    "check": ("check", "check --json"),
    "compact": ("compact", "compact --grace 0"),
    "predict": (
        "predict magnet_arrow.examples.random_run_predictor:RandomRunPredictor benchmark_output",
        "predict my_predictor:MyPredictor benchmark_output --examples 10 --seed 1",
    ),
    "evaluate": (
        "evaluate benchmark_output",
        "evaluate my_predictor:MyPredictor benchmark_output --budgets 4,16,all",
        "evaluate scores.csv --folds model --parquet evaluation.parquet --report evaluation.html",
    ),
    "verify": ("verify benchmark_output", "verify benchmark_output --json"),
    "restore": (
        "restore mmlu:subject=anatomy,method=multiple_choice_joint,model=made_owl-7b --out restored",
        "restore 'my-suite/mmlu:subject=anatomy,method=multiple_choice_joint,model=made_owl-7b' --out restored",
    ),
    "rejects": ("rejects", "rejects --json"),
    "cache": ("cache info", "cache remove --stale"),
    "cache path": ("cache path",),
    "cache info": ("cache info", "cache info --json"),
    "cache clear": ("cache clear", "cache clear --yes"),
    "cache remove": ("cache remove benchmark_output", "cache remove --stale"),
}
"""Arguments of `magnet-arrow`, by the name of the command; a test parses all of them."""


def epilog(command: str) -> str:
    r"""The examples of a command as lines that are not wrapped, since `\b` stands before them."""
    lines = [f"  magnet-arrow {arguments}" for arguments in EXAMPLES.get(command, ())]
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *lines]) if lines else ""
