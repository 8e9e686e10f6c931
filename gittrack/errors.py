"""What can go wrong, in the words of the person it happens to.

Each error carries its own exit code, cause and hint, because the place that raises it knows them best.
Only `cli` prints errors and exits; a training script sees them as ordinary exceptions."""

from __future__ import annotations

from gittrack.terminal import pointed, printable


class GittrackError(Exception):
    """Something gittrack cannot do; printed as `error:`, `cause:` and `hint:` lines."""

    exit_code = 1

    def __init__(self, message: str, *, cause: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        for line in self.lines()[1:]:  # a traceback shows them, in a script and in a notebook
            self.add_note(line)

    def __str__(self) -> str:
        return self.message  # which may have been made clearer on the way

    def lines(self) -> list[str]:
        """Returns the lines to print, safe for a terminal."""
        found = [f"error: {printable(self.message)}"]
        if self.cause:
            found.append(f"cause: {printable(self.cause)}")
        if self.hint:
            found.append(f"hint: {printable(self.hint)}")
        return found


class NegativeAnswer(GittrackError):
    """The question was answered, and the answer is no (`fsck` found damage, `diff` a difference)."""

    exit_code = 1


class UsageError(GittrackError):
    """The words of the command do not fit together."""

    exit_code = 2


class Misread(UsageError):
    """A text that a person wrote makes no sense at one place; its `cause:` is the text, with `^` under the place.

    text: what was written; start, end: the place, in characters."""

    def __init__(self, message: str, *, text: str, start: int, end: int, hint: str | None = None) -> None:
        shown, self._mark = pointed(text, start, end)
        super().__init__(message, cause=shown or None, hint=hint)
        self.text, self.start, self.end = text, start, end

    def lines(self) -> list[str]:
        """Returns the lines to print, the one that points below the text it points at."""
        found = super().lines()
        if self.cause:
            found.insert(2, " " * len("cause: ") + self._mark)
        return found


class NotFound(GittrackError):
    """No run, file or metric has this name."""

    exit_code = 3


class Ambiguous(GittrackError):
    """Several runs have this name or prefix."""

    exit_code = 3


class RemoteError(GittrackError):
    """The network, the remote or its authentication failed."""

    exit_code = 4


class DataRefused(GittrackError):
    """Something that was read breaks the format or its limits."""

    exit_code = 5


class NotARepository(GittrackError):
    """There is no git repository here."""

    exit_code = 128


class GitFailed(GittrackError):
    """A git command failed where it should not have."""

    exit_code = 128


class NoMetric(NotFound, KeyError):
    """A run has no points of the metric that is asked for."""


class NotInstalled(GittrackError, ImportError):
    """A library that gittrack can do without, and this call cannot, is not there."""
