"""The functions of the module: what `gt.log(...)` and the like do to the run that was started last."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from gittrack.errors import UsageError
from gittrack.model import Run
from gittrack.start import init
from gittrack.tracker import ActiveRun, active
from gittrack.views import as_mapping

P = ParamSpec("P")
R = TypeVar("R")


def current() -> ActiveRun:
    """Returns the run that was started last and is not finished; raises UsageError if there is none."""
    if not active:
        raise UsageError("no run is being recorded", hint="call gittrack.init() first")
    return active[-1]


def log(data: Mapping[str, Any], step: int | None = None, commit: Any = None, **others: Any) -> None:
    """Records values in the current run; see `ActiveRun.log`."""
    current().log(data, step, commit, **others)


def log_params(params: Any = None, **more: Any) -> None:
    """Records params in the current run; see `ActiveRun.log_params`."""
    current().log_params(params, **more)


def define_metric(name: str, *args: Any, **options: Any) -> None:
    """Declares what is good for a metric of the current run; see `ActiveRun.define_metric`."""
    current().define_metric(name, *args, **options)


def log_artifact(path: Any, name: str | None = None, type: str | None = None, **about: Any) -> list[str]:
    """Keeps a file with the current run; see `ActiveRun.log_artifact`."""
    return current().log_artifact(path, name, type, **about)


def alert(title: str, text: str = "", **others: Any) -> None:
    """Records a message in the current run; see `ActiveRun.alert`."""
    current().alert(title, text, **others)


def finish(exit_code: int | None = None, quiet: Any = None, **end: Any) -> Run | None:
    """Finishes the current run, if there is one; see `ActiveRun.finish`."""
    return active[-1].finish(exit_code, quiet, **end) if active else None


def track(function: Callable[P, R] | None = None, **options: Any) -> Any:
    """Decorator: each call of the function is a run; its arguments are params, a returned mapping is the summary.

    `@track` and `@track(tags=["cv"])` both work; the options are those of `init`.
    An exception is recorded and raised."""
    if function is None:
        return functools.partial(track, **options)
    names = inspect.signature(function)

    @functools.wraps(function)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = names.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments) | as_mapping(options.get("params"))
        more = {key: value for key, value in options.items() if key != "params"}
        name = more.pop("name", None) or None
        with init(params=given, name=name, **more) as run:
            answer = function(*args, **kwargs)
            if isinstance(answer, Mapping):
                run.summary.update(answer)
            return answer

    return recorded


def login(*_: Any, **__: Any) -> bool:
    """Does nothing: there is no account. For scripts that came from W&B."""
    return True


def watch(*_: Any, **__: Any) -> None:
    """Does nothing: gradients are not recorded. For scripts that came from W&B."""
