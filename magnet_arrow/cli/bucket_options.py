"""Options of commands whose sources may be in a bucket, see `remote_settings`.

They are added to a command by a decorator, since it need not know of them: they hold for whatever it reads.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

_ANY_SOURCE: dict[str, Any] = {
    "endpoint": Annotated[
        str | None, typer.Option(metavar="URL", help="Of s3:// or gs://, another server than Amazon's or Google's.")
    ],
    "region": Annotated[str | None, typer.Option(metavar="NAME", help="Of s3://, the region.")],
    "profile": Annotated[
        str | None, typer.Option(metavar="NAME", help="Of s3://, the profile in ~/.aws whose keys sign, if need be.")
    ],
}
_OF_REQUESTS: dict[str, Any] = {
    "retries": Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            envvar="MAGNET_ARROW_RETRIES",
            help="Of buckets, how often a request is repeated that failed for a moment; 4 by default.",
        ),
    ],
    "timeout": Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            envvar="MAGNET_ARROW_TIMEOUT",
            help="Of buckets, after how long without a byte a request has failed; 60 by default.",
        ),
    ],
    "connections": Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            envvar="MAGNET_ARROW_CONNECTIONS",
            help="Of buckets, how many files are fetched at once; 32 by default.",
        ),
    ],
}


def with_bucket_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that say where a bucket is and who reads it."""
    return _with_options(command, _ANY_SOURCE)


def with_all_bucket_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with these options and those about requests, which other commands take from the environment only."""
    return _with_options(command, _ANY_SOURCE | _OF_REQUESTS)


def _with_options(command: Callable[..., None], options: Mapping[str, Any]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        said = {name: value for name in options if (value := arguments.pop(name)) is not None}
        if not said:
            command(**arguments)
            return
        from magnet_arrow.sources.remote.settings import remote_settings

        if "timeout" in said:
            said["timeout_s"] = said.pop("timeout")
        with remote_settings(**said):
            command(**arguments)

    signature = inspect.signature(command)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]  # typer reads it
        parameters=_with_parameters(list(signature.parameters.values()), options)
    )
    return run


def _with_parameters(parameters: list[inspect.Parameter], options: Mapping[str, Any]) -> list[inspect.Parameter]:
    """The parameters of a command, with the options before that for the cache."""
    names = [parameter.name for parameter in parameters]
    at = names.index("cache") if "cache" in names else len(names)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    added = [inspect.Parameter(name, kind, default=None, annotation=option) for name, option in options.items()]
    return [*parameters[:at], *added, *parameters[at:]]
