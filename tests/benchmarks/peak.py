"""Runs a command, and prints in bytes the most memory that its processes held together.

    python -S peak.py COMMAND...

Two numbers: the memory of their own, and all that was resident, which has the files in it that they mapped: git maps
its packs, and the system takes such pages back whenever it needs them. `ru_maxrss` cannot tell these apart, knows of
one process only, and begins with what the process held that started it; so /proc is asked every two milliseconds."""

import os
import sys
import time

PAUSE_S = 0.002
OWN = ("RssAnon:", "RssShmem:")


def main(words: list[str]) -> int:
    """Runs the command, with its output thrown away, and returns its exit code."""
    nothing = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nothing, stream) for stream in (0, 1)]
    child = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    own, resident = 0, 0
    while True:
        ended, status, _ = os.wait4(child, os.WNOHANG)
        if ended:
            break
        held = [of_process(process) for process in tree(child, os.readlink("/proc/self/exe"))]
        own = max(own, sum(one for one, _ in held))
        resident = max(resident, sum(one for _, one in held))
        time.sleep(PAUSE_S)
    print(own, resident)
    return os.waitstatus_to_exitcode(status)


def of_process(process: int) -> tuple[int, int]:
    """Returns what a process holds of its own, and all that it holds."""
    try:
        with open(f"/proc/{process}/status") as status:
            said = dict(line.split(maxsplit=1) for line in status if line.startswith(("Rss", "VmRSS:")))
    except OSError:
        return 0, 0  # it has ended
    held = {name: int(text.split()[0]) * 1024 for name, text in said.items()}
    return sum(held.get(name, 0) for name in OWN), held.get("VmRSS:", 0)


def tree(process: int, parent: str) -> list[int]:
    """Returns a process and those that it started, but for one that still is what `parent` is and shares its memory."""
    folder = f"/proc/{process}"
    found = []
    try:
        program = os.readlink(f"{folder}/exe")
        if program != parent:
            found.append(process)
        for thread in os.listdir(f"{folder}/task"):
            with open(f"{folder}/task/{thread}/children") as children:
                for child in children.read().split():
                    found += tree(int(child), program)
    except OSError:
        pass  # it has ended
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
