"""What a remote answered, out of what git and ssh print: for each ref, and when nothing worked.

git says in three languages at once why a transfer failed, its own, curl's or ssh's, and the server's; the line that
helps is seldom the first. Nothing here runs git, and no password or token of an address gets through."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gittrack import redact

KEPT = "everything is kept here; try again when the remote can be reached"

_MOVED = ("fetch first", "non-fast-forward", "stale info", "already exists")
# What a server says of one ref; a pre-receive hook, an unpacker and a limit of refs speak of all of them.
_ALONE = ("hook declined", "deletion prohibited", "hidden ref", "funny refname", "failed to update ref", "lock")
_MOST_WORDS = 300
# git's last words when whoever it talked through failed: that one has said why.
_VAGUE = ("could not read from remote repository", "remote end hung up", "early eof", "unexpected disconnect")
_NOISE = re.compile(
    r"remote:|hint:|@|debug\d:|Warning: Permanently added|Please make sure you have|and the repository exists"
    r"|Delta compression|Total \d|Enumerating|From |To | [*=+!-] |Add correct host key|Offending |This key is not known"
)
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*")
# What stands in the text, and what to do then; the first that matches.
_HINTS = (
    (
        "identification has changed",
        "if that is expected, forget the old key with `ssh-keygen -R HOST`; else tell its admin",
    ),
    ("host key verification failed", "connect once with `ssh` by hand and compare its key with the one its admin says"),
    ("permission denied (", "offer it a key that it knows: `ssh-add KEY`, or IdentityFile in ~/.ssh/config"),
    ("could not read username", "give git the password by a credential helper or ~/.netrc; see `git help credentials`"),
    ("could not read password", "give git the password by a credential helper or ~/.netrc; see `git help credentials`"),
    ("service not enabled", "it does not allow this here; ask its admin, or use SSH or HTTPS"),
    ("access denied or repository not exported", "check the address with `git remote -v`, and what the server allows"),
    ("uthentication failed", "check the password that git has for it, with plain `git fetch`"),
    ("error: 401", "check the password that git has for it, with plain `git fetch`"),
    ("error: 403", "check what you may do there, with plain `git fetch` and `git push`"),
    ("permission denied", "check what you may do there, with plain `git fetch` and `git push`"),
    ("certificate", "name the authority that signed its certificate in http.sslCAInfo"),
    ("does not appear to be a git repository", "check the address with `git remote -v`"),
    ("not found", "check the address with `git remote -v`"),
    ("no such repository", "check the address with `git remote -v`"),
    ("cannot access url", "check the address with `git remote -v`: no git server that takes pushes is there"),
    ("does not exist", "check the address with `git remote -v`"),
    ("is this a git repository?", "check the address with `git remote -v`"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a remote said to one pushed ref: `taken` or not, and its reason."""

    ref: str
    taken: bool
    reason: str

    @property
    def alone(self) -> bool:
        """Whether the ref was judged by itself, and not the whole push."""
        first = self.reason.partition(";")[0]
        return "pre-receive" not in first and any(word in first for word in _ALONE)

    @property
    def moved(self) -> bool:
        """Whether the remote has another version of the ref."""
        return any(word in self.reason for word in _MOVED)


def read(stdout: bytes) -> dict[str, Answer]:
    """Reads `git push --porcelain`: a flag, `from:to`, and a summary with the reason, between tabs."""
    found = {}
    for line in stdout.decode("utf-8", "replace").splitlines():
        parts = line.split("\t")
        # "[remote failure]" is git's own guess when the connection broke before the remote answered.
        if len(parts) == 3 and len(parts[0]) == 1 and not parts[2].startswith("[remote failure]"):
            ref = parts[1].rpartition(":")[2]
            reason = parts[2].partition("(")[2].rpartition(")")[0] or parts[2]
            found[ref] = Answer(ref, taken=parts[0] != "!", reason=reason if parts[0] == "!" else "")
    return found


def remote_words(stderr: bytes) -> str:
    """Returns what the remote's own hooks said, in one line."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in stderr.decode("utf-8", "replace").splitlines()
        if line.startswith("remote:") and "error: hook declined" not in line  # that is said for each ref already
    ]
    return without_secrets(" ".join(line for line in lines if line))[:_MOST_WORDS]


def cause_and_hint(stderr: bytes) -> tuple[str, str]:
    """Returns why a transfer failed, in the words of who knows it, and what to do."""
    text = stderr.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not _NOISE.match(line)]
    complaints = [line for line in told if line.startswith(("fatal:", "error:"))]
    said = next((line for line in complaints if not _is_vague(line)), "")
    if not said:
        others = [line for line in told if line not in complaints]
        said = (others or complaints or ["git ended without a word"])[-1]
    if said.endswith(":"):  # of several addresses it says after a line break why each of them failed
        said += " " + "".join(told[told.index(said) + 1 :][:1]).rpartition("]: ")[2]
    said = said.removeprefix("fatal: ").removeprefix("error: ").removesuffix(".")
    lower = text.lower()
    if "identification has changed" in lower:
        said = "its host key has changed since it was last seen"
    words = remote_words(stderr)
    hint = next((hint for needle, hint in _HINTS if needle in lower), KEPT)
    return without_secrets(f"{said}; {words}" if words else said), hint


def _is_vague(line: str) -> bool:
    return any(word in line.lower() for word in _VAGUE)


def without_secrets(text: str) -> str:
    """Returns a text without user, password and query of any address in it."""
    return redact.text(_QUERY.sub(r"\1?***", text))[0]
