"""How a run ends when nobody ends it.

An interpreter that exits, is interrupted or is terminated ends its runs with the status that fits; a forked child
writes on, in a journal of its own. Nothing of the user's is lost: hooks are not touched, their handlers are kept."""

from __future__ import annotations

import atexit
import builtins
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from gittrack import system
from gittrack.console import console
from gittrack.outcome import how_it_ended
from gittrack.tracker import active

# What a scheduler sends before it kills. Not SIGQUIT and SIGALRM, which end even a process that is stuck in C.
_ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
_watching: set[str] = set()
_first: list[FrameType] = []  # the frame that the whole program runs in
_exit: dict[str, Any] = {}


def watch() -> None:
    """Arranges that open runs end when the interpreter does, and how. Once a process; nothing of the user's is lost."""
    if "exit" in _watching:
        return
    _watching.add("exit")
    atexit.register(_finish_all)
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - init may run in a thread
    while frame and frame.f_back:
        frame = frame.f_back
    _first[:] = [frame] if frame else []
    sys.exit = _noting(sys.exit)
    quitter = type(getattr(builtins, "exit", None))
    if quitter.__name__ == "Quitter":  # what `exit()` is; absent under `python -S`
        quitter.__call__ = _noting(quitter.__call__)  # type: ignore[method-assign]
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_let_measure, after_in_child=_after_fork)
    if threading.current_thread() is threading.main_thread():
        taken = _signals_caught_elsewhere()
        for name in _ENDING:
            number = getattr(signal, name, None)
            if number is not None and number not in taken and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _on_signal)


def _signals_caught_elsewhere() -> set[int]:
    """Returns the signals with a handler that Python does not know of, such as one of faulthandler."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            mask = next((int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")), 0)
    except (OSError, ValueError):
        return set()
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def _noting(leave: Callable[..., Any]) -> Any:
    """Returns `sys.exit` or `exit`, which do what they did, and note with which code."""

    @functools.wraps(leave)
    def noted(*args: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            code = args[-1] if args and args[-1] is not builtins.exit and args[-1] is not builtins.quit else None
            _exit["code"] = code
        leave(*args)

    return noted


def how_the_program_ended() -> dict[str, Any]:
    """Returns status, exit code and error of a program that is over.

    An exception counts if it left the program's first frame, and a call of `sys.exit` if that frame did not return:
    what was caught was not the end. The code of a `raise SystemExit(2)` by hand is nowhere to be seen."""
    error = getattr(sys, "last_value", None)  # the interpreter keeps what nobody caught, whatever hook is set
    traceback = getattr(error, "__traceback__", None)
    if error is not None and traceback is not None and _first and traceback.tb_frame is _first[0]:
        return how_it_ended(type(error), error)
    if _exit and _first and not _returned(_first[0]):
        return how_it_ended(SystemExit, SystemExit(_exit["code"]))
    return {"status": "finished"}


def _returned(frame: FrameType) -> bool:
    """Tells whether the last thing that a frame did was to return."""
    import opcode  # noqa: PLC0415 - only at the end of a program

    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def _finish_all() -> None:
    end = how_the_program_ended()
    for run in reversed(list(active)):
        run.finish(**end)
    console.close()


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """Ends the open runs, then lets the signal do what it would have done."""
    signal.signal(number, signal.SIG_IGN)
    for run in reversed(list(active)):
        run.finish(status="interrupted", signal=signal.Signals(number).name)
    console.close()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _before_fork() -> None:
    """Waits for our git: a child that inherits the pipe to it would keep it waiting for as long as the child lives.

    And for a sample of the machine: a child would inherit the locks of libraries that are in use."""
    for run in active:
        if run.pinning:
            run.pinning.hurry()
    system.measuring.acquire(timeout=2)


def _let_measure() -> None:
    if system.measuring.locked():
        system.measuring.release()


def _after_fork() -> None:
    _let_measure()
    for run in active:
        run.after_fork()
