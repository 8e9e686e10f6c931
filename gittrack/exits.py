"""How a run ends when nobody ends it.

An interpreter that exits, is interrupted or is terminated ends its runs with the status that fits; a forked child
writes on, in a journal of its own. Nothing of the user's is lost: hooks are chained, handlers of theirs are kept."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

from gittrack.outcome import how_it_ended
from gittrack.tracker import active

_exit: dict[str, Any] = {}
_watching: set[str] = set()


def watch() -> None:
    """Arranges that open runs end when the interpreter does, and how. Once a process; nothing of the user's is lost."""
    if "exit" in _watching:
        return
    _watching.add("exit")
    atexit.register(_finish_all)
    previous_hook, previous_exit = sys.excepthook, sys.exit

    def on_exception(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        _exit.update(how_it_ended(kind, value))
        previous_hook(kind, value, traceback)

    def on_exit(status: Any = None) -> Any:
        if threading.current_thread() is threading.main_thread():
            _exit.clear()
            _exit.update(how_it_ended(SystemExit, SystemExit(status)))
        previous_exit(status)

    sys.excepthook = on_exception
    sys.exit = on_exit
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _on_signal)


def _finish_all() -> None:
    end = dict(_exit) or {"status": "finished"}
    for run in reversed(list(active)):
        run.finish(**end)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """Ends the open runs, then lets the signal do what it would have done."""
    signal.signal(number, signal.SIG_IGN)
    for run in reversed(list(active)):
        run.finish(status="interrupted", signal=signal.Signals(number).name)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    for run in active:
        run.after_fork()
