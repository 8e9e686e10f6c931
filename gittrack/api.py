"""The functions of the module: what `gt.log(...)` and the like do to the run that was started last."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from gittrack.errors import UsageError
from gittrack.model import Run
from gittrack.start import init
from gittrack.tracker import ActiveRun, active
from gittrack.views import as_mapping

if TYPE_CHECKING:
    from gittrack.obtained import RecordedArtifact


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


def log_artifact(path: Any, *args: Any, **about: Any) -> Any:
    """Keeps a file with the current run; see `ActiveRun.log_artifact`."""
    return current().log_artifact(path, *args, **about)


def log_image(key: str, image: Any, **about: Any) -> list[str]:
    """Keeps an image with the current run; see `ActiveRun.log_image`."""
    return current().log_image(key, image, **about)


def log_figure(key: str, figure: Any, **about: Any) -> list[str]:
    """Keeps a figure with the current run; see `ActiveRun.log_figure`."""
    return current().log_figure(key, figure, **about)


def log_table(key: str, table: Any, *columns: Any, **about: Any) -> list[str]:
    """Keeps a table with the current run; see `ActiveRun.log_table`."""
    return current().log_table(key, table, *columns, **about)


def log_text(key: str, text: Any, **about: Any) -> list[str]:
    """Keeps a text with the current run; see `ActiveRun.log_text`."""
    return current().log_text(key, text, **about)


def log_html(key: str, html: Any, **about: Any) -> list[str]:
    """Keeps HTML with the current run; see `ActiveRun.log_html`."""
    return current().log_html(key, html, **about)


def log_audio(key: str, audio: Any, sample_rate: float | None = None, **about: Any) -> list[str]:
    """Keeps a sound with the current run; see `ActiveRun.log_audio`."""
    return current().log_audio(key, audio, sample_rate, **about)


def log_video(key: str, video: Any, **about: Any) -> list[str]:
    """Keeps a film with the current run; see `ActiveRun.log_video`."""
    return current().log_video(key, video, **about)


def use_artifact(artifact: Any, *args: Any, **others: Any) -> RecordedArtifact:
    """Returns an artifact of another run, and records that the current one used it; see `ActiveRun.use_artifact`."""
    return current().use_artifact(artifact, *args, **others)


def alert(title: str, text: str = "", **others: Any) -> None:
    """Records a message in the current run; see `ActiveRun.alert`."""
    current().alert(title, text, **others)


def finish(exit_code: int | None = None, quiet: Any = None, **end: Any) -> Run | None:
    """Finishes the current run, if there is one; see `ActiveRun.finish`."""
    return active[-1].finish(exit_code, quiet, **end) if active else None


def track(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorator: each call of the function is a run; its arguments are params, a returned mapping is the summary.

    `@track` and `@track(tags=["cv"])` both work; the options are those of `init`. A call while a run is open is a
    child of that run. An exception is recorded and raised."""
    if function is None:
        return functools.partial(track, **options)
    begin = functools.partial(_begin, inspect.signature(function), options)

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as run:
            return _kept(run, function(*args, **kwargs))

    @functools.wraps(function)
    async def recorded_later(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as run:
            return _kept(run, await cast("Any", function)(*args, **kwargs))

    @functools.wraps(function)
    def recorded_while_iterated(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as run:
            return _kept(run, (yield from cast("Any", function)(*args, **kwargs)))

    if inspect.iscoroutinefunction(function):
        return recorded_later
    return recorded_while_iterated if inspect.isgeneratorfunction(function) else recorded


def _begin(signature: inspect.Signature, options: Mapping[str, Any], args: Any, kwargs: Any) -> ActiveRun:
    """Starts the run of one call of a tracked function."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    given = dict(bound.arguments)
    if next(iter(given), None) in ("self", "cls"):
        given.pop(next(iter(given)))
    more = {"parent": active[-1] if active else None, **options}
    return init(**{**more, "params": given | as_mapping(options.get("params"))})


def _kept(run: ActiveRun, answer: Any) -> Any:
    if isinstance(answer, Mapping):
        run.summary.update(answer)
    return answer


def login(*_: Any, **__: Any) -> bool:
    """Does nothing: there is no account. For scripts that came from W&B."""
    return True


def watch(*_: Any, **__: Any) -> None:
    """Does nothing: gradients are not recorded. For scripts that came from W&B."""


def unwatch(*_: Any, **__: Any) -> None:
    """Does nothing: gradients are not recorded. For scripts that came from W&B."""


def save(glob_str: Any = None, base_path: Any = None, **others: Any) -> list[str]:
    """Keeps files with the current run; see `ActiveRun.save`. For scripts that came from W&B."""
    return current().save(glob_str, base_path, **others)
