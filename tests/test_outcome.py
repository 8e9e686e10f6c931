"""What ended a run, in words."""

from __future__ import annotations

from typing import Any

import pytest

from gittrack.outcome import describe_error, how_it_ended


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


TOKEN = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (None, {"status": "finished"}),
        (KeyboardInterrupt(), {"status": "interrupted", "signal": "SIGINT"}),
        (SystemExit(), {"status": "finished", "exit_code": 0}),
        (SystemExit(0), {"status": "finished", "exit_code": 0}),
        (SystemExit(3), {"status": "failed", "exit_code": 3}),
        (SystemExit(True), {"status": "failed", "exit_code": 1}),
        (SystemExit("message"), {"status": "failed", "exit_code": 1}),
        (GeneratorExit(), {"status": "finished"}),
        (ValueError("bad lr"), {"status": "failed", "error": "ValueError: bad lr"}),
        (ValueError(), {"status": "failed", "error": "ValueError"}),
        (MemoryError(), {"status": "failed", "error": "MemoryError"}),
        (ValueError("a\n  b\t c"), {"status": "failed", "error": "ValueError: a b c"}),
        (Mute(), {"status": "failed", "error": "Mute"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_raised_tells_how_a_run_ended(raised: BaseException | None, outcome: dict[str, Any]) -> None:
    found = how_it_ended(None if raised is None else type(raised), raised)
    assert repr(found) == repr(outcome)


def test_a_long_error_is_cut_and_a_secret_is_not_cut_in_half() -> None:
    assert describe_error(ValueError, ValueError(f"key {TOKEN}")) == "ValueError: key ***"
    for before in range(440, 500):
        text = describe_error(ValueError, ValueError("x" * before + " " + TOKEN))
        assert len(text) <= 500
        assert "ghp_" not in text
    assert len(describe_error(ValueError, ValueError("x" * 10_000_000))) == 500
