"""What is said about reading buckets, by a caller, the environment or a profile, and which of them counts."""

import math
import socket
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import buckets
import fault_proxy
import pytest
from buckets import Server, filled
from fault_proxy import Answer

from magnet_arrow import HelmRuns, ingest, remote_settings, verify
from magnet_arrow.errors import RemoteError, SettingError, SourceNotFoundError
from magnet_arrow.ingestion.parallel import process_pool
from magnet_arrow.sources.remote import settings, stores

NAMES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")
NAMES += ("STORAGE_EMULATOR_HOST", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
NAMES += ("MAGNET_ARROW_RETRIES", "MAGNET_ARROW_TIMEOUT", "MAGNET_ARROW_CONNECTIONS")


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that says nothing but where the files of profiles are; their folder."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = eu-north-1\nendpoint_url = http://lab:9000/\ns3 =\n    max_queue_size = 10\n"
        "[profile login]\nsso_session = ours\nregion = eu-west-1\n"
        "[profile 'two words']\naws_access_key_id = AKIAOTHER\naws_secret_access_key = b/c=%d\n"
        "[profile taken]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = lab\n"
        "[profile half]\naws_access_key_id = AKIAHALF\n"
        "[default]\nregion = us-west-2\n[sso-session ours]\nsso_region = eu-west-1\n"
    )
    (tmp_path / "credentials").write_text(
        "# a comment\n[lab]\naws_access_key_id=AKIALAB\naws_secret_access_key = lab-secret\n"
        "aws_session_token = lab-token\n"
    )
    return tmp_path


def test_without_a_word_the_defaults_hold(profiles: Path) -> None:
    found = settings.current()
    assert (found.retries, found.n_attempts, found.timeout_s, found.connections) == (4, 5, 60.0, 32)
    assert (settings.endpoint("s3"), settings.endpoint("gs"), settings.region()) == ("", "", "us-east-1")
    assert settings.profile_of_s3() is None


def test_the_environment_says_each(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RETRIES": "0", "TIMEOUT": "2.5", "CONNECTIONS": "7"}.items():
        monkeypatch.setenv(f"MAGNET_ARROW_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://one")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:4443")
    found = settings.current()
    assert (found.n_attempts, found.timeout_s, found.connections) == (1, 2.5, 7)
    assert (settings.endpoint("s3"), settings.endpoint("gs")) == ("https://one", "http://localhost:4443")
    assert settings.region() == "eu-south-1"
    monkeypatch.setenv("AWS_REGION", "eu-south-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://two/")
    assert (settings.endpoint("s3"), settings.region()) == ("https://two", "eu-south-2")


def test_what_a_caller_says_comes_first_and_ends_with_the_context(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNET_ARROW_RETRIES", "2")
    monkeypatch.setenv("AWS_REGION", "eu-south-2")
    monkeypatch.setenv("AWS_PROFILE", "login")
    with remote_settings(endpoint="http://[::1]:9000/", region="auto", profile="lab", timeout_s=3):
        with remote_settings(connections=1):
            found = settings.current()
            assert (found.retries, found.timeout_s, found.connections) == (2, 3, 1)
            assert (settings.endpoint("s3"), settings.region()) == ("http://[::1]:9000", "auto")
            assert settings.profile_of_s3().name == "lab"  # type: ignore[union-attr]
        assert settings.current().connections == 32
    assert settings.given() is None
    assert settings.region() == "eu-south-2"
    with remote_settings(endpoint="http://gcs:1"):
        assert settings.endpoint("gs") == "http://gcs:1"


def test_a_profile_says_what_nothing_else_does(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with remote_settings(profile="lab"):
        assert (settings.endpoint("s3"), settings.region()) == ("http://lab:9000", "eu-north-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://one")
        monkeypatch.setenv("AWS_REGION", "eu-south-2")
        assert (settings.endpoint("s3"), settings.region()) == ("https://one", "eu-south-2")
    monkeypatch.setenv("AWS_PROFILE", "default")
    monkeypatch.delenv("AWS_REGION")
    assert settings.region() == "us-west-2"


@pytest.mark.parametrize(
    ("name", "keys", "why"),
    [
        ("lab", ("AKIALAB", "lab-secret", "lab-token"), ""),
        ("two words", ("AKIAOTHER", "b/c=%d", None), ""),
        ("login", None, "signs in by SSO"),
        ("taken", None, "takes a role"),
        ("half", None, "has no keys"),
        ("default", None, "has no keys"),
    ],
)
def test_a_profile_has_keys_or_says_why_not(name: str, keys: object, why: str, profiles: Path) -> None:
    with remote_settings(profile=name):
        found = settings.profile_of_s3()
    assert found is not None
    assert (found.keys, found.why_no_keys) == (keys, why)
    assert "secret" not in repr(found)


def test_keys_that_changed_are_read_again(profiles: Path) -> None:
    with remote_settings(profile="lab"):
        settings.profile_of_s3()
        (profiles / "credentials").write_text("[lab]\naws_access_key_id = AKIANEW\naws_secret_access_key = new\n")
        assert settings.profile_of_s3().keys == ("AKIANEW", "new", None)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("explicit", "variable", "has_variables", "signs"),
    [
        ("lab", None, False, "the profile 'lab'"),
        ("lab", None, True, "the profile 'lab'"),
        (None, "lab", False, "the profile 'lab'"),
        (None, "lab", True, "AWS_ACCESS_KEY_ID"),
        ("login", None, True, "AWS_ACCESS_KEY_ID"),  # where `aws configure export-credentials` puts them
        ("login", None, False, "None"),
        (None, None, True, "AWS_ACCESS_KEY_ID"),
        (None, None, False, "None"),
    ],
)
def test_which_keys_sign(
    explicit: str | None,
    variable: str | None,
    has_variables: bool,
    signs: str,
    profiles: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable:
        monkeypatch.setenv("AWS_PROFILE", variable)
    if has_variables:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    with remote_settings(profile=explicit):
        assert str(stores._credentials("s3")) == signs


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"connections": 0}, "connections:\n  expected a whole number, 1 or more, found 0."),
        ({"connections": 2.5}, "found 2.5"),
        ({"retries": -1}, "retries:\n  expected a whole number, 0 or more, found -1."),
        ({"retries": True}, "found True"),
        ({"timeout_s": 0}, "timeout_s:\n  expected seconds, more than 0"),
        ({"timeout_s": math.nan}, "found nan"),
        ({"timeout_s": math.inf}, "found inf"),
        ({"endpoint": "localhost:9000"}, "endpoint:\n  expected https://HOST or http://HOST:PORT"),
        ({"endpoint": "ftp://host"}, "found 'ftp://host'"),
        ({"endpoint": "http://host:port"}, "found 'http://host:port'"),
        ({"endpoint": ""}, "found ''"),
        ({"region": "a b"}, "found 'a b'"),
        ({"profile": "lap"}, "one of default, half, lab, login, taken, two words, found 'lap'.\n  Did you mean 'lab'?"),
    ],
)
def test_an_impossible_value_is_refused(said: dict[str, Any], words: str, profiles: Path) -> None:
    with pytest.raises(SettingError) as caught, remote_settings(**said):
        pass
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MAGNET_ARROW_RETRIES", "many", "MAGNET_ARROW_RETRIES:\n  expected a whole number, 0 or more, found 'many'."),
        ("MAGNET_ARROW_TIMEOUT", "nan", "MAGNET_ARROW_TIMEOUT:\n  expected seconds"),
        ("MAGNET_ARROW_CONNECTIONS", "0", "MAGNET_ARROW_CONNECTIONS:\n  expected a whole number, 1 or more"),
        ("AWS_ENDPOINT_URL_S3", "a b", "AWS_ENDPOINT_URL_S3:\n  expected https://HOST"),
        ("AWS_REGION", "../x", "AWS_REGION:\n  expected a name such as eu-central-1, found '../x'."),
        ("AWS_PROFILE", "lap", "AWS_PROFILE:\n  expected one of default"),
    ],
)
def test_an_impossible_variable_is_named(
    variable: str, value: str, expected: str, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as caught:
        HelmRuns("s3://bucket/runs")
    assert expected in str(caught.value)


@pytest.mark.parametrize("text", ["http://user:secret@host", "user:secret@host", "http://host?sig=secret"])
def test_a_password_in_an_endpoint_is_refused_and_not_shown(
    text: str, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="without user and password") as caught, remote_settings(endpoint=text):
        pass
    assert "secret" not in f"{caught.value}{caught.value.args}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", text)
    with pytest.raises(SettingError, match="AWS_ENDPOINT_URL:") as caught:
        settings.endpoint("s3")
    assert "secret" not in f"{caught.value}{caught.value.args}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"aws_secret_access_key = hidden\n", r"(line 1)"),
        (b"[lab]\nhidden\n", "(line 2)"),
        (b"[lab]\nx = \xff hidden\n", "cannot be read"),
    ],
)
def test_a_broken_file_of_profiles_is_named_and_not_shown(content: bytes, words: str, profiles: Path) -> None:
    (profiles / "credentials").write_bytes(content)
    with pytest.raises(SettingError) as caught, remote_settings(profile="lab"):
        pass
    assert words in str(caught.value)
    assert str(profiles / "credentials") in str(caught.value)
    assert "hidden" not in f"{caught.value}{caught.value.__cause__}{caught.value.args}"


def test_without_files_of_profiles_the_error_says_where_they_would_be(profiles: Path) -> None:
    for name in ("config", "credentials"):
        (profiles / name).unlink()
    with pytest.raises(SettingError, match=r"no profile in .*config or .*credentials"), remote_settings(profile="lab"):
        pass


def test_what_only_s3_has_is_refused_for_google(profiles: Path) -> None:
    for said in ({"profile": "lab"}, {"region": "auto"}):
        with remote_settings(**said), pytest.raises(SettingError, match="expected s3://, which alone has one"):  # type: ignore[arg-type]
            HelmRuns("gs://bucket/runs")


# What settings do, on a server


@pytest.fixture
def local(server: Server, outputs: Path, profiles: Path) -> str:
    """A URL of runs on a server that the environment does not name."""
    return filled(server, outputs)


def test_settings_hold_for_listing_frames_and_checks(local: str, server: Server, tmp_path: Path) -> None:
    with remote_settings(endpoint=server.endpoint):
        assert ingest(local, tmp_path / "cache").runs == 3
        assert verify(local, tmp_path / "cache").is_equal
        assert HelmRuns(local, cache=tmp_path / "cache").stats().height > 0
    with remote_settings(endpoint="http://127.0.0.1:1", retries=0), pytest.raises(RemoteError, match="no answer"):
        HelmRuns(local)


def test_the_error_for_a_bucket_that_is_not_there_names_the_server(local: str, server: Server) -> None:
    with remote_settings(endpoint=server.endpoint), pytest.raises(SourceNotFoundError) as caught:
        HelmRuns("s3://none-such/x")
    assert caught.value.hint == f"{server.endpoint} was asked for it."


def test_settings_reach_worker_processes(profiles: Path) -> None:
    with remote_settings(endpoint="http://host:1"):
        assert list(process_pool.results(settings.endpoint, ["s3"])) == ["http://host:1"]


@pytest.mark.parametrize("kind", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_settings_reach_executors(kind: str, local: str, server: Server, tmp_path: Path) -> None:
    made = ThreadPoolExecutor(2) if kind == "threads" else ProcessPoolExecutor(1, get_context("spawn"))
    with remote_settings(endpoint=server.endpoint), made as executor:
        assert ingest(local, tmp_path / "cache", executor=executor).rejected == ()


def test_digests_of_content_are_taken_with_the_settings(local: str, server: Server, tmp_path: Path) -> None:
    with remote_settings(endpoint=server.endpoint):
        ingest(local, tmp_path / "cache", content_hash=True)
        assert ingest(local, tmp_path / "cache", content_hash=True).skipped == 3


def test_without_retries_a_fault_is_final(local: str, server: Server, tmp_path: Path) -> None:
    with fault_proxy.running(server.endpoint) as proxy, remote_settings(endpoint=proxy.endpoint, retries=0):
        proxy.spoil(r"a:x=1/stats\.json", fault_proxy.status(500), 1)
        [rejected] = ingest(local, tmp_path / "cache").rejected
        assert "500 Internal Server Error (" in (rejected.found or "")
        assert len([one for one in proxy.fetched() if "a:x=1/stats.json" in one]) == 1
        proxy.spoil("list-type", fault_proxy.status(500), 1)
        with pytest.raises(RemoteError, match="500"):
            HelmRuns(local)


def test_a_store_that_sends_nothing_is_given_up(profiles: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with remote_settings(endpoint=endpoint, retries=0, timeout_s=0.2):
            for url in ("s3://bucket/runs", "gs://bucket/runs"):
                with pytest.raises(RemoteError, match="no answer"):
                    HelmRuns(url)


def test_a_private_bucket_is_read_with_the_keys_of_a_profile(
    profiles: Path, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server").mkdir()
    monkeypatch.setattr(stores, "_REFUSED", frozenset({400, 403}))  # as rclone answers what others refuse by 403
    with (
        buckets.private(tmp_path / "server", "AKIAOTHER", "b/c=%d") as server,
        remote_settings(endpoint=server.endpoint, region="auto"),
    ):
        url = filled(server, outputs)
        with pytest.raises(RemoteError, match=r"400 Bad Request\.\n.*remote_settings\(profile='NAME'\)"):
            HelmRuns(url)
        with remote_settings(profile="login"), pytest.raises(RemoteError) as refused:
            HelmRuns(url)
        assert refused.value.hint == (
            "It is not public, or is no such bucket. There are no keys to sign with: the profile 'login' signs in "
            "by SSO. This sets them:\n"
            '    eval "$(aws configure export-credentials --profile login --format env)"'
        )
        with remote_settings(profile="lab"), pytest.raises(RemoteError) as refused:
            HelmRuns(url)
        assert refused.value.hint == "The credentials of the profile 'lab' may not read this bucket."
        with remote_settings(profile="two words"):
            assert ingest(url, tmp_path / "cache").runs == 3
            assert verify(url, tmp_path / "cache").is_equal
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b/c=%d")
        assert ingest(url, tmp_path / "cache").skipped == 3
        assert ingest(url, tmp_path / "other", workers=2).runs == 3


@pytest.fixture
def keys(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")


def test_objects_of_a_public_list_are_asked_for_with_a_signature(
    keys: None, local: str, server: Server, tmp_path: Path
) -> None:
    with fault_proxy.running(server.endpoint) as proxy, remote_settings(endpoint=proxy.endpoint, retries=0):
        proxy.spoil(r"\.json", fault_proxy.status(403), 4)  # of requests at the same time
        assert ingest(local, tmp_path / "cache", workers=1).rejected == ()


def test_keys_that_are_no_good_reject_only_what_is_private(
    keys: None, local: str, server: Server, tmp_path: Path
) -> None:
    with fault_proxy.running(server.endpoint) as proxy, remote_settings(endpoint=proxy.endpoint, retries=0):
        proxy.spoil(r"a:x=1/", fault_proxy.status(403))
        report = ingest(local, tmp_path / "cache", workers=1)
    assert (report.runs, len(report.rejected)) == (2, 1)
    assert "The credentials of AWS_ACCESS_KEY_ID may not read this bucket." in (report.rejected[0].hint or "")


@pytest.mark.parametrize("told", ["by a header", "in the answer", "not at all"])
def test_a_bucket_in_another_region_says_which(told: str, local: str, server: Server) -> None:
    def moved(answer: Answer) -> None:
        answer.status, answer.body, answer.headers = 301, b"<Code>PermanentRedirect</Code>", {}
        if told == "by a header":
            answer.headers = {"x-amz-bucket-region": "eu-north-1"}
        elif told == "in the answer":
            answer.status, answer.body = 400, b"<Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region>"

    with fault_proxy.running(server.endpoint) as proxy, remote_settings(endpoint=proxy.endpoint):
        proxy.spoil("", moved)
        with pytest.raises(RemoteError) as caught:
            HelmRuns(local)
    region = "NAME" if told == "not at all" else "eu-north-1"
    assert caught.value.hint == (
        f"The bucket is in another region. Use remote_settings(region='{region}'), or set AWS_REGION."
    )
    assert (caught.value.status, len(proxy.requests)) == (400 if told == "in the answer" else 301, 1)
