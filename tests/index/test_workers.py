"""Work shared out to processes comes back whole, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from gittrack.index import workers

PARTS = list(range(200))


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four cores, and a process without other threads: as the command line is."""
    monkeypatch.setattr(workers, "_cores", lambda: 4)
    monkeypatch.setattr(workers, "_is_alone", lambda: True)


def in_turn(number: int) -> tuple[int, int, str]:
    """Returns who did a part, which it was, and a large answer."""
    time.sleep(0.002)
    return os.getpid(), number, "x" * 300_000


@pytest.mark.usefixtures("several")
def test_every_part_is_done_once_and_by_several_processes() -> None:
    found = list(workers.shared(PARTS, in_turn))

    assert sorted(number for _, number, _ in found) == PARTS
    assert len({process for process, _, _ in found}) > 1
    assert os.getpid() in {process for process, _, _ in found}
    assert all(len(text) == 300_000 for _, _, text in found)


@pytest.mark.usefixtures("several")
def test_the_part_of_a_process_that_was_killed_is_done_again() -> None:
    caller = os.getpid()

    def deadly(number: int) -> tuple[int, int]:
        time.sleep(0.002)
        if os.getpid() != caller and number % 20 == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid(), number

    found = list(workers.shared(PARTS, deadly))

    assert sorted(number for _, number in found) == PARTS


@pytest.mark.usefixtures("several")
def test_an_error_is_that_of_the_callers_process_and_leaves_nobody_behind() -> None:
    def failing(number: int) -> int:
        if number == 150:
            raise ValueError("no")
        return number

    with pytest.raises(ValueError, match="no"):
        list(workers.shared(PARTS, failing))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.usefixtures("several")
def test_whoever_takes_only_some_answers_leaves_nobody_behind() -> None:
    found = workers.shared(PARTS, in_turn)
    next(found)
    found.close()  # type: ignore[attr-defined] # it is a generator

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_beside_other_threads_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 4)
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert {process for process, _, _ in workers.shared(PARTS, in_turn)} == {os.getpid()}
    finally:
        end.set()
        thread.join()
