"""Secrets on command lines: `--password hunter2`, `TOKEN=… python train.py`, `curl -u user:password`.

Any option whose name says that it is secret counts, of any program; short options (`-p`, `-u`) only of the programs
that are known to take a password there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack.secretnames import is_secret
from gittrack.shapes import Span, lazy

# Program | what must stand between it and the option | options. `-p` takes the next word; `-p+` the rest of its own;
# `-p*` either; `-u:` what follows a colon in either; `!` is any word that looks like a key.
_TABLE = """
curl | | -u: --user: -U: --proxy-user: --oauth2-bearer --pass --key-password
http https xh | | -a: --auth:
mysql mysqldump mysqladmin mariadb mariadb-dump mysqlimport | | -p+
sshpass | | -p*
docker podman nerdctl helm oras crane buildah singularity apptainer | login | -p
skopeo | | --creds: --src-creds: --dest-creds:
redis-cli | | -a
mongo mongosh mongodump mongorestore mongoexport mongoimport | | -p
sqlcmd bcp tsql isql | | -P
ldapsearch ldapadd ldapmodify ldapwhoami | | -w
az oc | login | -p
zip unzip zipcloak | | -P
7z 7za 7zr | | -p+
openssl | | -k -K -passin: -passout: -pass:
mosquitto_pub mosquitto_sub | | -P
svn hg | | --password
smbclient rpcclient | | -U%
lftp | | -u,
aws heroku fly railway dotnet | | --password
vault wandb comet huggingface-cli hf neptune clearml kaggle dagshub | login | !
"""


class _Option(NamedTuple):
    name: str
    mark: str


def _read_table() -> dict[str, tuple[str, tuple[_Option, ...]]]:
    found = {}
    for line in _TABLE.strip().splitlines():
        programs, between, forms = (part.strip() for part in line.split("|"))
        options = tuple(
            _Option(form.rstrip("+*:%,!"), form[-1] if form[-1] in "+*:%,!" else "") for form in forms.split()
        )
        found.update(dict.fromkeys(programs.split(), (between, options)))
    return found


_PROGRAMS = _read_table()
_KEY = lazy(r"[\w.-]{20,}")


def hidden(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields (word, from which character on) of what is secret in the words of a command line."""
    option = program = ""
    seen: set[str] = set()
    for number, word in enumerate(words):
        at = _short(program, seen, option, word) if program else None
        name, equals, value = word.partition("=")
        if at is not None:
            yield number, at
        elif option in _SETTERS and number + 1 < len(words) and is_secret(word, words[number + 1]):
            yield number + 1, 0  # `aws configure set aws_secret_access_key …`
        elif option and not word.startswith("-") and is_secret(option, word):
            yield number, 0
        elif equals and is_secret(name, value):
            yield number, len(name) + 1
        base = _base(word)
        if base in _PROGRAMS:
            program, seen = base, set()
        seen.add(word)
        option = word if (word.startswith("-") and not equals) or word in _SETTERS else ""


_SETTERS = frozenset({"set", "config:set"})


def _base(word: str) -> str:
    return re.split(r"[/\\]", word)[-1].removesuffix(".exe") if "/" in word or "\\" in word else word


def _short(program: str, seen: set[str], option: str, word: str) -> int | None:
    """Returns from which character on a word is the secret of one of a program's own options."""
    between, options = _PROGRAMS[program]
    if between and between not in seen:
        return None
    for name, mark in options:
        follows = option == name
        if mark == "!":
            if not option and not word.startswith("-") and _KEY.fullmatch(word):
                return 0
        elif not follows and not (word.startswith(name) and len(word) > len(name)):
            continue
        elif mark in ("", "*", "+"):
            if follows and mark != "+" and not word.startswith("-"):
                return 0
            if not follows and mark and not word.startswith("--"):
                return len(name)
        else:
            own = (
                0
                if follows
                else len(name) + 1
                if word[len(name)] == "="
                else len(name)
                if len(name) == _SHORT
                else None
            )
            at = word.find(mark, own) + 1 if own is not None else 0
            if own is not None and own < at < len(word):
                return at
    return None


_SHORT = len("-u")


# In a text ----------------------------------------------------------------------------------------------------------

_LINE = lazy(
    (
        r"(?:(?<![\w.-])|(?<=[0-9]m)|(?<=\\n))(?:"
        + "|".join(map(re.escape, sorted(_PROGRAMS, key=len, reverse=True)))
        + r")[ \t][^\n;|&]{1,4000}"
    ).encode()
)
_NEEDLES = tuple(name.encode() + b" " for name in _PROGRAMS)
_OPTION = lazy(rb"(?<![\w-])--?[A-Za-z][\w.-]{2,60}+[ \t]{1,4}+(?=[^\s-])[\"']?([^\s\"']{4,4000}+)")
_DIGIT = lazy(r"[0-9]")
_WORD = lazy(rb"[\"']?([^\s\"']+)[\"']?")


def find(data: bytes) -> Iterator[Span]:
    """Yields the secrets in command lines that stand in a text."""
    if not (b"--" in data or b" -" in data or data[:1] == b"-" or b"login " in data or b"set " in data):
        return
    for found in _OPTION.finditer(data):
        name = found[0][: found.start(1) - found.start()].decode("latin-1").strip(" \t\"'")
        value = found[1].decode("utf-8", "replace")
        if is_secret(name, value) and (name.startswith("--") or _DIGIT.search(value)):
            yield Span(*found.span(1), "a password")
    if any(needle in data for needle in _NEEDLES):
        for line in _LINE.finditer(data):
            words = [*_WORD.finditer(data, line.start(), line.end())]
            for number, at in hidden([word[1].decode("latin-1") for word in words]):
                yield Span(words[number].start(1) + at, words[number].end(1), "a password")
