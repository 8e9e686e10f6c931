"""Runs a command, and prints the most memory in bytes that its processes held, the peaks of all added.

    python -S peak.py COMMAND...

`ru_maxrss` begins with what the process held that started this one and knows of one process only; /proc is asked every
two milliseconds instead, and answers with the peak, not with what is held just then."""

import os
import sys
import time

PAUSE_S = 0.002


def main(words: list[str]) -> int:
    """Runs the command, with its output thrown away, and returns its exit code."""
    nothing = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nothing, stream) for stream in (0, 1)]
    child = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    peaks: dict[int, int] = {}
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        look(child, peaks)
        time.sleep(PAUSE_S)
    print(max(sum(peaks.values()), used.ru_maxrss * 1024))
    return os.waitstatus_to_exitcode(status)


def look(process: int, peaks: dict[int, int]) -> None:
    """Notes the peak of a process and of those that it started; after an exec it counts from nothing again."""
    folder = f"/proc/{process}"
    try:
        with open(f"{folder}/status") as status:
            peaks[process] = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
        for thread in os.listdir(f"{folder}/task"):
            with open(f"{folder}/task/{thread}/children") as children:
                for child in children.read().split():
                    look(int(child), peaks)
    except (OSError, ValueError):
        return  # it ended while we looked, or there is no /proc


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
