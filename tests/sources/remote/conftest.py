"""Servers of buckets, each started once a session where a test asks for it."""

import os
from collections.abc import Callable, Iterator

import buckets
import fault_proxy
import pytest
from buckets import Server
from command_line import Run, in_this_process
from fault_proxy import Proxy

from magnet_arrow.sources.remote import settings, stores
from magnet_arrow.sources.remote.catalog import CATALOG

OF_THE_USER = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR_HOST", *settings._VARIABLES.values())


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_user() -> Iterator[None]:
    """The environment says nothing of buckets but what a test says: no proxy, region, profile or number of retries."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(OF_THE_USER) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Gives a running server by its name."""
    started: dict[str, Server] = {}
    with buckets.contextlib.ExitStack() as stack:

        def of_name(name: str) -> Server:
            if name not in started:
                started[name] = stack.enter_context(buckets.running(name, tmp_path_factory.mktemp(name)))
            return started[name]

        yield of_name


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""
    return in_this_process(monkeypatch, capsys)


@pytest.fixture
def server(
    request: pytest.FixtureRequest, running_server: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server that the environment names; rclone, unless a test is parametrized with another."""
    found = running_server(getattr(request, "param", "rclone"))
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    CATALOG.forget()


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of the server, which the environment names."""
    monkeypatch.setattr(stores, "_FIRST_PAUSE_S", 0.0)
    with fault_proxy.running(server.endpoint) as running:
        for name in server.environment:
            monkeypatch.setenv(name, running.endpoint)
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that sends nothing for 0.3 seconds counts as one that does not answer."""
    monkeypatch.setenv("MAGNET_ARROW_TIMEOUT", "0.3")
