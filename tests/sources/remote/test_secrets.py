"""No key, secret, token or password comes into a file, an output or an error, wherever it came from."""

import base64
import logging
import os
import traceback
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled
from command_line import Run
from fault_proxy import Proxy, status

import magnet_arrow
from magnet_arrow import errors
from magnet_arrow.sources.remote.urls import without_password

pytest.importorskip("obstore")

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
    "AWS_SECRET_ACCESS_KEY": "made/up+secret",
    "AWS_SESSION_TOKEN": "made-up-token",
}
PASSWORD = "made-up-password"
SECRETS = (*KEYS.values(), PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode())


@pytest.fixture(
    params=["--profile", *(pytest.param(one, marks=pytest.mark.slow) for one in ("environment", "AWS_PROFILE"))]
)
def options(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of a command that finds keys in one of the places for them."""
    (tmp_path / "aws").mkdir()
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "aws" / variable))
    if request.param == "environment":
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        return []
    entries = "".join(f"{name.lower()} = {value}\n" for name, value in KEYS.items())
    (tmp_path / "aws" / "AWS_SHARED_CREDENTIALS_FILE").write_text(f"[lab]\n{entries}")
    if request.param == "--profile":
        return ["--profile", "lab"]
    monkeypatch.setenv("AWS_PROFILE", "lab")
    return []


def assert_none_is_in(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


def assert_none_is_written(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert_none_is_in(str(path))
        if path.is_file() and path.parent.name != "aws":
            assert [secret for secret in SECRETS if secret.encode() in path.read_bytes()] == [], path


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy with a password, which the environment names; a bucket is on a host that only it knows."""
    with fault_proxy.running(server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://made-up.test")
        monkeypatch.setenv("HTTP_PROXY", running.endpoint.replace("://", f"://user:{PASSWORD}@"))
        yield running


def test_nothing_that_commands_write_or_print_has_a_secret(
    options: list[str],
    server: Server,
    proxy: Proxy,
    demo_outputs: Path,
    tmp_path: Path,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    url = filled(server, demo_outputs)
    proxy.spoil("list-type", status(403), 1)
    proxy.spoil(r"gpt2.*/stats\.json", status(403))
    for line in (
        ["ingest", url, "--plan", "--json"],
        ["ingest", url, "--json", "--keep-json", str(tmp_path / "mirror")],
        ["ls", url],
        ["scores", f"{url}/runs/perturbed"],
        *([] if options else [["report", f"{url}/runs/perturbed"]]),  # its imports take a while: only where it is slow
        ["verify", f"{url}/runs/perturbed"],
        ["rejects"],
        ["ls", "s3://none-such/x"],
    ):
        ended = run(*line, *(options if line != ["rejects"] else []))
        assert_none_is_in(ended.out + ended.err)
    proxy.spoil("", status(403))
    for line in (["ingest", url], ["validate", url]):
        ended = run(*line, *options)
        assert (ended.code, "403 Forbidden" in ended.err) == (3, True), ended.err
        assert_none_is_in(ended.err)
    assert all(one.startswith("http://made-up.test") for one in proxy.requests)
    assert_none_is_in(caplog.text)
    assert_none_is_written(tmp_path)
    assert options or any(path.suffix == ".html" for path in tmp_path.iterdir())


def test_no_error_in_a_traceback_has_a_secret(
    options: list[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.spoil("", status(403))
    with magnet_arrow.remote_settings(profile=options[1] if options else None, retries=0):
        for server in (None, f"http://user:{PASSWORD}@127.0.0.1:1", f"http://user:{PASSWORD}/x@host:1"):
            if server is not None:
                monkeypatch.setenv("HTTP_PROXY", server)
            for scheme in ("s3", "gs"):
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://made-up.test")
                if scheme == "gs" and options:
                    continue
                with pytest.raises(errors.RemoteError) as caught:
                    magnet_arrow.HelmRuns(f"{scheme}://bucket/runs")
                assert_none_is_in("".join(traceback.format_exception(caught.value)) + repr(caught.value))
                if server is not None:
                    assert "Does HTTP_PROXY name a proxy that works?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIAMADEUP:made/up+secret@bucket/runs", "s3://bucket/runs"),
        ("s3:/user:made-up-password@bucket/runs", "s3:/bucket/runs"),
        ("gs://made-up-token@bucket", "gs://bucket"),
        ("helm://user:made-up-password@lite", "helm://lite"),
        ("https://user:made-up-password@host/dump", "https://host/dump"),
        ("https://bucket.s3.amazonaws.com/x?X-Amz-Signature=made-up-token", "https://bucket.s3.amazonaws.com/x"),
        ("https://user:made-up-password@storage.googleapis.com/bucket/x", "https://storage.googleapis.com/bucket/x"),
        ("sftp://user:made-up-password@host/dump.csv", "sftp://host/dump.csv"),
    ],
)
def test_a_password_in_a_source_is_refused_and_not_shown(
    text: str, shown: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert without_password(text) == shown
    for line in (
        ["ingest", text],
        ["ingest", text, "--version", "all"],
        ["ingest", text, "--list-runs"],
        ["validate", text],
        ["ls", text],
        ["scores", text],
        ["rank", text],
        ["report", text],
        ["panel", text, "x.parquet"],
        ["evaluate", text],
        ["verify", text],
        ["predict", "made.up:Class", text],
        ["ls", "--cache", text],
    ):
        ended = run(*line)
        assert ended.code == 2, (line, ended)
        assert_none_is_in(ended.out + ended.err)
    assert os.listdir(tmp_path) in ([], ["cache"])
    assert_none_is_written(tmp_path)


@pytest.mark.parametrize("text", ["s3://bucket/a@b:c", "gs://bucket", "/data/a@b", "https://host/a", "mmlu:x@y"])
def test_what_has_no_password_is_shown_as_it_is(text: str) -> None:
    assert without_password(text) == text
