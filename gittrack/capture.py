"""What a run was made with: code, interpreter, packages, machine.

Taken at the start, because the files on disk when training ends are not the ones that trained. The snapshot of a
dirty work tree is made by git itself with a private index and a private object folder, so that clean filters, modes
and links are right and the user's index is not even read for writing."""

from __future__ import annotations

import codecs
import contextlib
import fnmatch
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gittrack import packs, redact, scratch, values
from gittrack.codec import tree
from gittrack.codec.pointer import Pointer
from gittrack.errors import GitFailed, UsageError
from gittrack.git import Git, known_commits
from gittrack.hashes import Hashes
from gittrack.model import Code, Omitted
from gittrack.payloads import Payloads
from gittrack.porcelain import Status
from gittrack.refname import Oid
from gittrack.settings import Settings
from gittrack.shared import make_folder

IDENTITY = "gittrack <gittrack@localhost>"
SNAPSHOT_MESSAGE = b"snapshot of uncommitted work\n"
MAX_FILES = 10_000
MAX_TOTAL = 256 * 1024 * 1024
_ATTEMPTS = 3
_SMALL = 32 * 1024  # bytes; what is no larger is hardly a payload, and not looked up

SECRET_FILES = (
    ".env .env.* *.env .envrc *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk id_rsa* id_dsa* id_ecdsa* "
    "id_ed25519* .netrc _netrc .pgpass .pypirc .npmrc .htpasswd .git-credentials .dockercfg credentials "
    "credentials.* *credentials.json secret secrets secret.* secrets.* *.secret *.secrets service-account*.json "
    "service_account*.json *serviceaccount*.json client_secret*.json kubeconfig *.kubeconfig .vault-token *.asc "
    "*.gpg token token.txt *.token api_key* apikey* password passwords passwd password.txt passwords.* .vault_pass* "
    ".vault_password* *.p8 *.pkcs12 *.keytab *.ovpn *.agekey *.tfvars *.tfstate .terraformrc .my.cnf .s3cfg .boto "
    "rclone.conf kaggle.json .databrickscfg .comet.config .modal.toml .dockerconfigjson cookies.txt wallet.dat "
    ".bash_history .zsh_history .python_history"
).split()
_NOT_SECRET = (".env.example .env.sample .env.template .env.dist *.pub").split()
_SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".docker", "gcloud", ".kaggle"})


def read_status(git: Git) -> Status:
    """Returns the state of the work tree; a bare repository has a HEAD only."""
    if git.place.work_tree is None:
        return Status(git.resolve("HEAD"), git.branch(), (), ())
    return git.status()


def _with_included(git: Git, settings: Settings, status: Status) -> Status:
    """Returns the status with those ignored files as untracked ones that `track.snapshotInclude` names."""
    asked = settings.get("snapshotInclude")
    if not asked or git.place.work_tree is None:
        return status
    try:
        args = ("ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", *shlex.split(asked))
        found = os.fsdecode(git.ask(*args)).split("\0")[:-1]
    except (GitFailed, ValueError) as exc:  # a word that git does not understand is no reason to stop
        why = f"track.snapshotInclude is not understood ({(exc.cause if isinstance(exc, GitFailed) else None) or exc})"
        return replace(status, unread=(*status.unread, Omitted(asked, why)))
    return replace(status, untracked=(*status.untracked, *found))


def capture_code(git: Git, settings: Settings, *, redacting: bool = True) -> Code:
    """Returns the code of a run that starts now; a dirty tree is stored first, in a kept pack.

    redacting: files that hold secrets are left out, not only those that are named so.

    Raises UsageError if the tree is dirty and `track.dirty` is `refuse`."""
    status = _with_included(git, settings, read_status(git))
    code = _code(status, settings)
    if not code.dirty or not _is_stored(git, settings):
        return code
    snapshot, omitted = make_snapshot(git, status, limit=settings.size("snapshotLimit"), redacting=redacting)
    return replace(code, snapshot=snapshot, omitted=omitted)


def capture_patch(git: Git, settings: Settings, *, home: Path, redacting: bool = True) -> tuple[Code, bytes]:
    """Returns the code of a run that is recorded elsewhere because nothing can be written here.

    Uncommitted work comes as `git diff --binary` shows it; `home` is a folder that can be written to. What keeps
    a run from being recorded here may keep its code from being read too: then nothing is known of it."""
    changes = b""
    try:
        status = _with_included(git, settings, read_status(git))
        code = _code(status, settings)
        if git.place.work_tree and code.dirty and _is_stored(git, settings):
            make_folder(home)
            with scratch.opened(git, home) as private:
                limit = settings.size("snapshotLimit")
                tree_oid, omitted = _write_tree(private, status, limit=limit, redacting=redacting)
                changes = _diff(git, status.commit or git.empty_tree, tree_oid, private.env)
                changes, left_out = without_secrets(changes, redacting=redacting)
                code = replace(code, omitted=omitted + left_out)
    except (GitFailed, OSError):
        return Code(), b""
    return code, changes


def _code(status: Status, settings: Settings) -> Code:
    dirty = bool(status.changed or status.untracked or status.unread)
    remote = remote_address(settings, status.branch)
    branch = values.clean_text(status.branch) if status.branch else None
    return Code(commit=status.commit, branch=branch, remote=remote, dirty=dirty)


def _is_stored(git: Git, settings: Settings) -> bool:
    """Tells whether uncommitted work is recorded; raises UsageError if `track.dirty` is `refuse`."""
    policy = settings.choice("dirty", "snapshot", "warn", "refuse")
    if policy == "refuse":
        raise UsageError(
            "the work tree has uncommitted changes",
            cause="track.dirty is 'refuse'",
            hint="commit them, or record with `git -c track.dirty=snapshot track run …`",
        )
    return policy == "snapshot" and git.has_executable


def remote_address(settings: Settings, branch: str | None) -> str | None:
    """Returns the address of the branch's remote, or of `origin`, without credentials."""
    name = (branch and settings.git(f"branch.{branch}.remote")) or "origin"
    address = settings.git(f"remote.{name}.url")
    return redact.address(address) if address else None


# The snapshot ---------------------------------------------------------------------------------------------------


def choose(
    root: Path,
    status: Status,
    *,
    limit: int,
    redacting: bool = True,
    is_payload: Callable[[os.stat_result], bool] = lambda _: False,
) -> tuple[list[str], tuple[Omitted, ...]]:
    """Returns the paths that go into the snapshot, and what is left out with the reason.

    is_payload: tells of a file that is not tracked whether it is stored already, as an artifact of a run."""
    chosen: list[str] = []
    omitted = list(status.unread)
    environments = _environment_folders(status.untracked)
    count = total = 0
    for path in status.changed:
        if is_secret(path):
            omitted.append(Omitted(path, "its name says that it holds secrets; the committed version is kept"))
        elif redacting and (why := _holds_secret(root, path, limit)):
            omitted.append(Omitted(path, f"{why}; the committed version is kept"))
        else:
            chosen.append(path)
    for path in status.untracked:
        folder = next((folder for folder in environments if path.startswith(folder)), None)
        if folder is not None:
            continue
        why, size = _why_left_out(root, path, limit, is_payload)
        if why is None and redacting:
            why = _holds_secret(root, path, limit)
        if why is None and (count == MAX_FILES or total + (size or 0) > MAX_TOTAL):
            why = f"more than {MAX_FILES} files, or {MAX_TOTAL >> 20} MiB in all"
        if why:
            omitted.append(Omitted(path, why, size))
        else:
            chosen.append(path)
            count, total = count + 1, total + (size or 0)
    omitted += [Omitted(folder, "a virtual environment") for folder in sorted(environments)]
    omitted += [Omitted(path, "a submodule with uncommitted work in it") for path in status.submodules]
    return chosen, tuple(omitted)


def _why_left_out(
    root: Path, path: str, limit: int, is_payload: Callable[[os.stat_result], bool]
) -> tuple[str | None, int | None]:
    if path.endswith("/"):
        return "a repository of its own", None
    if is_secret(path):
        return "its name says that it holds secrets", None
    try:
        status = os.lstat(root / path)
    except OSError as exc:
        return f"cannot be read ({exc.strerror})", None
    if status.st_size > limit:
        return f"larger than {limit} bytes", status.st_size
    if not os.path.islink(root / path) and not os.access(root / path, os.R_OK):
        return "cannot be read (permission denied)", status.st_size
    if is_payload(status):
        return "an artifact of a run, which is stored already", status.st_size
    return None, status.st_size


def _holds_secret(root: Path, path: str, limit: int) -> str | None:
    """Returns why a file's content or path keeps it out of the snapshot: it has something like a token in it."""
    if redact.path(path)[1]:
        return "its name holds what looks like a token"
    try:
        status = os.lstat(root / path)
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(os.readlink(root / path))
        elif stat.S_ISREG(status.st_mode):
            with open(root / path, "rb") as file:
                content = file.read(limit)
        else:
            return None
    except OSError:
        return None  # it was deleted, or git will say why
    found = find_secret(content)
    return f"holds what looks like {found[0]}, line {found[1]}" if found else None


def find_secret(content: bytes) -> tuple[str, int] | None:
    """Returns what the first secret in a file looks like, and its line; None if there is none, or it is no text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode("utf-8", "replace")
    return None if b"\0" in content[:8000] else redact.first(content)


def is_secret(path: str) -> bool:
    """Tells whether a file's name says that it holds secrets."""
    folder, _, name = path.rpartition("/")
    lower = name.lower()
    if any(part in _SECRET_FOLDERS for part in folder.split("/")):
        return True
    if any(fnmatch.fnmatchcase(lower, pattern) for pattern in _NOT_SECRET):
        return False
    return any(fnmatch.fnmatchcase(lower, pattern) for pattern in SECRET_FILES)


def _environment_folders(untracked: Iterable[str]) -> set[str]:
    """Returns the untracked folders (with a slash at the end) that are virtual environments."""
    found = set()
    for path in untracked:
        folder, _, name = path.rpartition("/")
        if name == "pyvenv.cfg" and folder:
            found.add(folder + "/")
        elif "/conda-meta/" in path:
            found.add(path.partition("/conda-meta/")[0] + "/")
    return found


def make_snapshot(
    git: Git, status: Status, *, limit: int, redacting: bool = True
) -> tuple[Oid | None, tuple[Omitted, ...]]:
    """Stores the work tree as a commit on `status.commit` and returns its id, with what was left out.

    None if nothing that differs can be stored. Done again if a `git gc` beside us took an object in the middle."""
    home = git.place.common_dir / "gittrack"
    make_folder(home)
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(GitFailed):
            return _make_snapshot(git, status, home, limit=limit, redacting=redacting)
    return _make_snapshot(git, status, home, limit=limit, redacting=redacting)


def _make_snapshot(
    git: Git, status: Status, home: Path, *, limit: int, redacting: bool
) -> tuple[Oid | None, tuple[Omitted, ...]]:
    with scratch.opened(git, home) as private:
        tree_oid, omitted = _write_tree(private, status, limit=limit, redacting=redacting)
        if status.commit and tree_oid == git.commit_facts(status.commit)[0]:
            return None, omitted
        commit = _snapshot_commit(git, tree_oid, status.commit)
        if not git.has_object(commit.oid):
            git.write_pack(private.pack(commit, without=status.commit), keep=packs.keep_text("snapshot"))
    return commit.oid, omitted


def _write_tree(
    private: scratch.Scratch, status: Status, *, limit: int, redacting: bool
) -> tuple[Oid, tuple[Omitted, ...]]:
    """Stores the work tree as a tree in the private object folder; returns its id, and what is left out."""
    common_dir = private.git.place.common_dir
    known, payloads = Hashes(common_dir), Payloads(common_dir)

    def is_payload(file: os.stat_result) -> bool:
        sha256 = known.find(file) if file.st_size > _SMALL and stat.S_ISREG(file.st_mode) else None
        return sha256 is not None and payloads.own(Pointer(sha256, file.st_size)) is not None

    root = private.git.place.work_tree or Path()
    chosen, omitted = choose(root, status, limit=limit, redacting=redacting, is_payload=is_payload)
    if redacting:
        omitted = tuple(replace(left, path=redact.path(left.path)[0]) for left in omitted)
    private.restore(sorted(set(status.changed) - set(chosen)), status.commit)
    omitted += private.add(chosen)
    return private.write_tree(), omitted


def _snapshot_commit(git: Git, tree_oid: Oid, parent: Oid | None) -> tree.Object:
    when = git.commit_facts(parent)[1] if parent else 0
    body = tree.encode_commit(
        tree=tree_oid,
        parents=[parent] if parent else [],
        author=IDENTITY,
        committer=IDENTITY,
        author_time=when,
        commit_time=when,
        message=SNAPSHOT_MESSAGE,
    )
    made = tree.make_object("commit", body, algorithm=git.place.algorithm)
    known_commits[made.oid] = tree_oid, when
    return made


def patch(git: Git, code: Code, *, redacting: bool = True) -> tuple[bytes, tuple[Omitted, ...]]:
    """Returns the uncommitted changes as `git diff --binary` shows them, for runs that publish no code.

    With them, the files that are not in it because their changes, the lines taken away too, hold a secret."""
    if not code.snapshot:
        return b"", ()
    return without_secrets(_diff(git, code.commit or git.empty_tree, code.snapshot, {}), redacting=redacting)


def _diff(git: Git, old: Oid, new: Oid, env: Mapping[str, str]) -> bytes:
    # The plumbing takes no prefixes, colours or context from the user's settings, so that the patch applies.
    return git.ask("diff-tree", "-p", "--binary", "--no-ext-diff", "--no-textconv", old, new, env=env)


def without_secrets(whole: bytes, *, redacting: bool) -> tuple[bytes, tuple[Omitted, ...]]:
    """Returns a patch without the files whose part of it holds what looks like a secret, and these."""
    if not redacting or not redact.first(whole):
        return whole, ()
    kept, omitted = [], []
    for part in re.split(rb"(?m)^(?=diff --git )", whole):
        found = redact.first(part)
        if found:
            path = part.partition(b"\n")[0].rpartition(b" b/")[2].decode("utf-8", "replace").rstrip('"')
            omitted.append(Omitted(redact.path(path)[0], f"its patch holds what looks like {found[0]}"))
        else:
            kept.append(part)
    return b"".join(kept), tuple(omitted)
