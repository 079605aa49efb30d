"""Options that say where a bucket is, and how it is read."""

from pathlib import Path

import pytest
import typer.main
from command_line import Run, commands

from magnet_arrow.cli.app import application
from magnet_arrow.ingestion import api
from magnet_arrow.sources.remote import settings

OF_ANY_SOURCE = ["--endpoint", "--region", "--profile"]
TAKE_A_SOURCE = {"ingest", "validate", "ls", "scores", "rank", "report", "panel", "predict", "evaluate", "verify"}


def test_each_command_that_takes_a_source_says_where_it_is() -> None:
    found = {
        name: [option for parameter in command.params for option in parameter.opts]
        for name, command in commands(typer.main.get_command(application()))
    }
    having = {name for name, options in found.items() if "--endpoint" in options}
    assert having == TAKE_A_SOURCE
    for name in having:
        assert [option for option in found[name] if option in OF_ANY_SOURCE] == OF_ANY_SOURCE
    assert {"--retries", "--timeout", "--connections"} <= {*found["ingest"]}


def test_options_hold_while_the_command_runs(
    run: Run, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def find_all(*args: object, **options: object) -> object:
        seen.append((settings.current(), settings.endpoint("s3"), settings.region()))
        return found(*args, **options)  # type: ignore[arg-type]

    found = api.layout.find_all
    monkeypatch.setattr(api.layout, "find_all", find_all)
    monkeypatch.setenv("MAGNET_ARROW_RETRIES", "7")
    monkeypatch.setenv("MAGNET_ARROW_CONNECTIONS", "9")
    options = ["--endpoint", "http://host:1", "--region", "auto", "--timeout", "2.5", "--connections", "3"]
    assert run("ingest", outputs, *options).code == 0
    [(current, endpoint, region)] = seen
    assert (current.retries, current.timeout_s, current.connections) == (7, 2.5, 3)
    assert (endpoint, region) == ("http://host:1", "auto")
    assert settings.given() is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--connections", "0"], "0 is not in the range x>=1"),
        (["--retries", "-1"], "-1 is not in the range x>=0"),
        (["--timeout", "0"], "--timeout: expected seconds, more than 0"),
        (["--timeout", "soon"], "'soon' is not a valid float"),
        (["--endpoint", "host"], "--endpoint: expected https://HOST or http://HOST:PORT"),
        (["--endpoint", "http://u:secret@host"], "without user and password, found another text"),
        (["--profile", "nome"], "--profile: expected one of home, work, found 'nome'. Did you mean 'home'?"),
        (["--region", "a/b"], "--region: expected a name such as eu-central-1"),
    ],
)
def test_impossible_values_are_refused(
    options: list[str], words: str, run: Run, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile home]\n[profile work]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    ended = run("ingest", outputs, *options)
    assert (ended.code, ended.out) == (2, "")
    assert words in " ".join(ended.err.split())
    assert "secret" not in ended.err


def test_a_profile_is_not_for_google(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[profile home]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    ended = run("ls", "helm://lite", "--profile", "home")
    assert ended.code == 2
    said = " ".join(ended.err.split())
    assert "--profile: expected s3://, which alone has one, found gs://." in said
    assert "set AWS_PROFILE" in said
