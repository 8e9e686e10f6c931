"""What ended a run, in words: from an exception or an exit code to a status."""

from __future__ import annotations

from typing import Any

from gittrack import redact

MAX_ERROR = 500


def how_it_ended(kind: type[BaseException] | None, value: BaseException | None) -> dict[str, Any]:
    """Returns status, exit code and error for what ended a `with` block or a process; the error is as it was said."""
    if kind is None:
        return {"status": "finished"}
    if issubclass(kind, KeyboardInterrupt):
        return {"status": "interrupted", "signal": "SIGINT"}
    if issubclass(kind, SystemExit):
        code = getattr(value, "code", None)
        number = int(code) if isinstance(code, int) else 1 if code is not None else 0
        return {"status": "failed" if number else "finished", "exit_code": number}
    if issubclass(kind, GeneratorExit):
        return {"status": "finished"}
    return {"status": "failed", "error": _one_line(kind, value)}


def describe_error(kind: type[BaseException], value: BaseException | None) -> str:
    """Returns an exception as one line of at most 500 characters, without secrets."""
    return redact.text(_one_line(kind, value))[0][:MAX_ERROR]


def _one_line(kind: type[BaseException], value: BaseException | None) -> str:
    try:
        text = f"{kind.__name__}: {value}" if str(value) else kind.__name__
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        text = kind.__name__
    return " ".join(text[:50_000].split())
