"""What a host allows, found out by trying: with refs `probe-<random>` that are deleted again.

No host documents all that it refuses, and the same host refuses other things of another account. The objects of a
probe are made outside of the repository; on the host they stay until it collects what no ref names."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gittrack import answers, remote, transfer
from gittrack.errors import RemoteError
from gittrack.git import Git
from gittrack.refname import RUNS, Oid
from gittrack.settings import Settings

BRANCHES = "refs/heads/runs/"
MANY = (2, 25, 200)  # refs a push
SIZES = (1, 10)  # MiB; a run keeps files of up to 10 in git
_BETWEEN = {25: (10, 5), 200: (100, 50)}
_NOWHERE = "refs/gittrack/remote-%probe/x"  # where a fetch that brings nothing would put what it finds
_ALIAS = "gittrack-probe"
_NOT_OURS = ("fetch", "push", "mirror", "tagopt", "prune", "prunetags")
_MIB = 1 << 20


class Finding(NamedTuple):
    """One thing about a host: `ok`, `warn` or `wrong`; what; and what to do."""

    kind: str
    text: str
    hint: str = ""


Tell = Callable[[str], None]


def probe(
    git: Git, name: str, settings: Settings, *, author: str, now: int, random: int, tell: Tell | None
) -> list[Finding]:
    """Returns what a remote allows, and deletes what it pushed, also when it is ended early.

    author: `Name <address>`; now: Unix seconds; random: for names that nobody else has; tell: hears what is tried."""
    with tempfile.TemporaryDirectory(prefix="gittrack-probe-") as folder:
        maker = _Maker(git, Path(folder), author, now)
        probing = _Probe(git, name, settings, maker=maker, stem=f"probe-{random:x}", tell=tell or (lambda _: None))
        try:
            probing.look()
        except RemoteError as exc:
            probing.say("wrong", f"'{remote.label(name)}' cannot be used: {exc.cause or exc.message}", exc.hint or "")
        finally:
            left = probing.clean()
        if left:
            hint = f"where that is allowed, `git push {remote.label(name)} --delete {left[0]}`"
            probing.say("warn", f"{len(left)} ref(s) of this probe stay there: {', '.join(left[:3])}", hint)
        return probing.found


class _Maker:
    """Makes commits in a folder of its own; git finds them there and in the repository."""

    def __init__(self, git: Git, folder: Path, author: str, now: int) -> None:
        self._git = git
        self._who = f"{author} {now} +0000"
        self.trace = folder / "trace"
        objects = str(git.place.common_dir / "objects").replace("\\", "\\\\").replace('"', '\\"')
        self.env = {"GIT_OBJECT_DIRECTORY": str(folder), "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{objects}"'}

    def commit(self, what: str, *parents: Oid, content: bytes = b"") -> Oid:
        """Makes a commit with a file of `content`, or with none."""
        entries = b""
        if content:
            entries = b"100644 noise\0" + bytes.fromhex(self._write("blob", content))
        lines = [f"tree {self._write('tree', entries)}", *(f"parent {oid}" for oid in parents)]
        lines += [f"author {self._who}", f"committer {self._who}", "", f"probe: {what}", ""]
        return self._write("commit", "\n".join(lines).encode())

    def _write(self, kind: str, content: bytes) -> Oid:
        said = self._git.ask("hash-object", "-w", "-t", kind, "--stdin", input=content, env=self.env)
        return Oid(said.decode().strip())


class _Probe:
    """One look at one host: what was found, and the refs that may be there now."""

    def __init__(self, git: Git, name: str, settings: Settings, *, maker: _Maker, stem: str, tell: Tell) -> None:
        self.found: list[Finding] = []
        self._git, self._name, self._settings = git, name, settings
        self._maker, self._stem, self._tell = maker, stem, tell
        self._made: dict[str, None] = {}
        self._first = maker.commit("begin")
        self._there, self._env = _alias(git, name)

    def say(self, kind: str, text: str, hint: str = "") -> None:
        """Notes a finding."""
        self.found.append(Finding(kind, text, hint))

    def look(self) -> None:
        """Tries everything, the harmless things first; raises RemoteError if the remote cannot be reached any more."""
        self._reading()
        prefix = self._namespace()
        if not prefix:
            hint = "use a repository of its own for runs: `git config track.remote NAME`"
            self.say("wrong", "runs cannot be pushed there", hint)
            return
        ref = prefix + self._stem
        self._rewriting(ref)
        if not self._deleting(ref):
            self.say("warn", "refs a push and sizes are not tried, since nothing can be deleted there")
            return
        self._several(ref)
        self._large(ref)

    def clean(self) -> list[str]:
        """Deletes what was pushed, or may have been; returns the refs that stay."""
        size = self._settings.count("refsPerPush")
        while self._made:
            before = len(self._made)
            try:
                self._push(dict.fromkeys(list(self._made)[:size]))
            except RemoteError as exc:
                size = size if exc.hint == answers.KEPT else 1  # else smaller parts would fare no better
            if len(self._made) == before:
                if size == 1:
                    break
                size = max(1, size // 4)
        return list(self._made)

    # What is tried --------------------------------------------------------------------------------------------------

    def _reading(self) -> None:
        self._tell("reading")
        trace = str(self._maker.trace)
        done = self._fetch(self._stem, {"GIT_TRACE_PACKET": trace})
        if done.returncode:
            raise remote.failed("fetch from", self._name, done)
        said = Path(trace).read_text("utf-8", "replace") if os.path.exists(trace) else ""
        versions = [number for number in (2, 1) if re.search(rf"< version {number}$", said, re.MULTILINE)]
        version = versions[0] if versions else 0
        slow = "every fetch lists all refs; ask its admin for version 2, and see `git config protocol.version`"
        kind, hint = ("ok", "") if version == 2 else ("warn", slow)
        self.say(kind, f"it speaks version {version} of git's protocol", hint)

    def _namespace(self) -> str:
        """Finds a place for runs; returns what their refs begin with there, or nothing."""
        wanted = remote.prefix(self._settings, self._name)
        for prefix in dict.fromkeys([wanted, RUNS, BRANCHES]):
            self._tell(f"pushing to {prefix}")
            ref = prefix + self._stem
            why = self._push({ref: self._first}).get(ref)
            if why:
                self.say("warn", f"it takes no refs below {prefix}: {why}")
            elif self._stem.encode() not in self._fetch(ref).stderr:
                self.say("warn", f"it takes refs below {prefix} and shows them to nobody", "see transfer.hideRefs")
            elif prefix == wanted:
                self.say("ok", f"it takes refs below {prefix}")
                return prefix
            else:
                self.say("warn", f"it takes refs below {prefix}", f"{self._configure('refPrefix')} {prefix}")
                return prefix
        return ""

    def _rewriting(self, ref: str) -> None:
        self._tell("rewriting")
        other = self._maker.commit("begin again", content=b"other")
        why = self._push({ref: other}, lease=self._first).get(ref)
        if why:
            self.say("ok", f"it refuses to rewrite a ref: {why}")
        else:
            self.say("ok", "it lets a ref be rewritten by force, as most hosts do; `git track verify` notices")

    def _deleting(self, ref: str) -> bool:
        self._tell("deleting")
        why = self._push({ref: None}).get(ref)
        if why:
            self.say("warn", f"it refuses to delete a ref: {why}", "runs can be archived there only with its admin")
        else:
            self.say("ok", "it lets refs be deleted")
        return not why

    def _several(self, ref: str) -> None:
        most, why = 1, ""
        steps = list(MANY)
        while steps:
            count = steps.pop(0)
            self._tell(f"pushing {count} refs at once")
            refused = self._try({f"{ref}-{number}": self._first for number in range(count)})
            if not refused:
                most = count
                if why:
                    break
            else:
                why = why or refused
                steps = [step for step in _BETWEEN.get(count, ()) if step > most] if count in MANY else steps
        wanted = self._settings.count("refsPerPush")
        if most >= min(wanted, MANY[-1]):
            self.say("ok", f"it takes {most} refs a push")
        else:
            self.say(
                "warn", f"it takes {most} refs a push, and not {wanted}: {why}", f"git config track.refsPerPush {most}"
            )

    def _large(self, ref: str) -> None:
        taken, why = 0, ""
        for size in SIZES:
            self._tell(f"pushing {size} MiB")
            commit = self._maker.commit(f"{size} MiB", content=os.urandom(size * _MIB))
            why = self._try({ref: commit})
            if why:
                break
            taken = size
        if not why:
            self.say("ok", f"it takes a file of {taken} MiB; larger ones are not tried")
            return
        least = f"a file of {taken} MiB" if taken else "only files below 1 MiB"
        self.say("warn", f"it takes {least}, and not one of {size} MiB: {why}", "log fewer and smaller artifacts")

    def _try(self, refs: Mapping[str, Oid]) -> str:
        """Pushes refs and deletes them again; returns why one was refused, or why the line broke."""
        try:
            refused = next(iter(self._push(refs).values()), "")
        except RemoteError as exc:
            refused = exc.cause or exc.message
        if self.clean():
            raise RemoteError("the refs of the probe stay", cause="what was pushed cannot be deleted any more")
        return refused

    # How ------------------------------------------------------------------------------------------------------------

    def _configure(self, key: str) -> str:
        known = self._name in remote.names(self._settings)
        return f"git config remote.{self._name}.track{key[0].upper()}{key[1:]}" if known else f"git config track.{key}"

    def _push(self, refs: Mapping[str, Oid | None], *, lease: Oid | None = None) -> dict[str, str]:
        """Changes refs there; returns for those that were refused why. Raises RemoteError if there is no answer."""
        self._made |= dict.fromkeys(refs)  # until it is known that they are not there
        force = [f"--force-with-lease={ref}:{lease}" for ref in refs if lease]
        specs = [f"{oid or ''}:{ref}" for ref, oid in refs.items()]
        args = ("push", "--porcelain", "--no-verify", *force, "--end-of-options", self._there, *specs)
        done = self._run(args)
        answered = answers.read(done.stdout)
        if not refs.keys() <= answered.keys():
            raise remote.failed("push to", self._name, done)
        said = answers.remote_words(done.stderr)
        refused = {ref: answered[ref].reason for ref in refs if not answered[ref].taken}
        for ref, oid in refs.items():
            if (oid is None) != (ref in refused) and not lease:
                self._made.pop(ref, None)
        return {ref: f"{why}; {said}" if said else why for ref, why in refused.items()}

    def _fetch(self, end: str, env: Mapping[str, str] | None = None) -> transfer.Done:
        """Asks for the refs that begin with `end`, or with a run's prefix and `end`, and brings nothing."""
        spec = f"+{end if end.startswith('refs/') else RUNS + end}*:{_NOWHERE}*"
        words = ("--dry-run", "--verbose", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-auto-maintenance")
        return self._run(("fetch", *words, "--end-of-options", self._there, spec), env)

    def _run(self, args: Sequence[str], env: Mapping[str, str] | None = None) -> transfer.Done:
        env = {**self._maker.env, **self._env, **(env or {})}
        return remote.run(self._git, *args, known=self._settings, env=env)


def _alias(git: Git, name: str) -> tuple[str, dict[str, str]]:
    """Returns another name for a remote, and the environment in which git knows it.

    A push to the remote itself would write refs of the user's down, which name objects that are gone afterwards."""
    head = f"remote.{name}."
    found = [
        (key.removeprefix(head), value)
        for key, value in git.config()
        if key.startswith(head) and key.removeprefix(head) not in _NOT_OURS
    ]
    if not found:
        return name, {}
    before = int(git.environ.get("GIT_CONFIG_COUNT") or 0)
    env = {"GIT_CONFIG_COUNT": str(before + len(found))}
    for at, (key, value) in enumerate(found, start=before):
        env |= {f"GIT_CONFIG_KEY_{at}": f"remote.{_ALIAS}.{key}", f"GIT_CONFIG_VALUE_{at}": value}
    return _ALIAS, env
