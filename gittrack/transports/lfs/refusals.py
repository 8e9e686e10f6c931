"""What a web server's refusal means to the person whose payloads it are.

The statuses are those of git-lfs docs/api/batch.md and of RFC 9110. Those that may pass say so, and for how long the
server wants to be left alone; the server's own words stand in the cause."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from gittrack.codec.pointer import Pointer
from gittrack.transports.lfs.batch import Refusal
from gittrack.transports.lfs.http import Answer
from gittrack.transports.protocol import TransportError


class _Meaning(NamedTuple):
    cause: str
    hint: str | None = None
    passing: bool = False


_LATER = "everything is kept here; try again later"
_BIGGER = "`git track store add NAME URL --min-size SIZE` sends large files to another store"
_MEANINGS: Mapping[int, _Meaning] = {
    401: _Meaning("it does not believe the user name and password", "`git credential` keeps them"),
    403: _Meaning("it does not allow it", "is Git LFS on for this repository, and may you write there?"),
    404: _Meaning("it is not there"),
    409: _Meaning("it is something else there"),
    410: _Meaning("it is not there any more"),
    413: _Meaning("it is too large for it", _BIGGER),
    422: _Meaning("it refuses it"),
    429: _Meaning("too many requests in a short time", _LATER, passing=True),
    503: _Meaning("it is not available now", _LATER, passing=True),
    507: _Meaning("there is no room left there", "make room there, or `git track store add` another store"),
    509: _Meaning("the bandwidth that is paid for is used up", "wait, or `git track store add` another store"),
}
_BROKEN = _Meaning("something is wrong there", _LATER, passing=True)
_NOWHERE = _Meaning(
    "there is no LFS server", "set lfs.url to the right address, or `git track store add` another store"
)
_OTHER = _Meaning("it refuses it")


def of_answer(what: str, where: str, answer: Answer, *, meaning: _Meaning | None = None) -> TransportError:
    """Returns the error for an answer that is a refusal; what: as in `send payload 1234`."""
    means, wait = meaning or meaning_of(answer.status), seconds_to_wait(answer)
    return TransportError(
        f"cannot {what}: '{where}' answers {answer.status}",
        cause=_cause(means, answer.message(), wait),
        hint=means.hint,
        passing=means.passing,
        wait=wait,
    )


def of_object(what: str, where: str, pointer: Pointer, refusal: Refusal) -> TransportError:
    """Returns the error for one object that a server refuses in its answer about many."""
    meaning = meaning_of(refusal.status) if refusal.status else _Meaning("its answer makes no sense")
    return TransportError(
        f"'{where}' refuses to {what} payload {pointer.sha256[:12]} of {pointer.size} bytes",
        cause=_cause(meaning, refusal.message, 0.0),
        hint=meaning.hint,
        passing=meaning.passing,
    )


def of_api(operation: str, where: str, answer: Answer, *, has_git: bool, hint: str | None) -> TransportError:
    """Returns the error for an answer that is a refusal of everything; operation: `upload` or `download`.

    hint: what may help where there is no server at all."""
    meaning = meaning_of(answer.status)
    if answer.status == 404:
        meaning = _NOWHERE if hint is None else _NOWHERE._replace(hint=hint)
    elif answer.status in (301, 302, 303, 307, 308):
        meaning = _Meaning("it sends us elsewhere in a way that is not followed")
    elif answer.status == 401 and not has_git:
        meaning = meaning._replace(hint="install git: `git credential` knows passwords")
    return of_answer(f"ask for {'an' if operation == 'upload' else 'a'} {operation}", where, answer, meaning=meaning)


def meaning_of(status: int) -> _Meaning:
    """Returns what a status means."""
    return _MEANINGS.get(status) or (_BROKEN if status >= 500 and status not in (501, 505) else _OTHER)


def seconds_to_wait(answer: Answer) -> float:
    """Returns what `Retry-After` says, in seconds from now (RFC 9110, 10.2.3), or 0."""
    text = answer.header("Retry-After").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text).timestamp() if text else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return max(moment - date_of(answer), 0.0) if moment else 0.0


def date_of(answer: Answer) -> float:
    """Returns the server's clock in Unix seconds, or ours if it does not tell."""
    try:
        return parsedate_to_datetime(answer.header("Date")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return time.time()


def _cause(meaning: _Meaning, said: str, wait: float) -> str:
    words = f"{meaning.cause}: {said}" if said else meaning.cause
    return f"{words}; it wants to be asked again in {math.ceil(wait)} seconds" if wait else words
