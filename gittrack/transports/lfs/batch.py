"""The batch API of Git LFS (git-lfs docs/api/batch.md): which payloads a server has, and how the others go there.

What a server answers is not trusted: an object that was not asked for, a size that is another, an address that is none
are told from each other here, where nothing is sent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from gittrack.codec.pointer import Pointer
from gittrack.transports.lfs.http import clean_headers
from gittrack.transports.lfs.urls import is_web

TYPE = "application/vnd.git-lfs+json"
_MARGIN = 5.0  # seconds before its end from which on an action is not used any more
_MOST_SECONDS = 10 * 365 * 86400.0


class Refusal(NamedTuple):
    """What a server has against one object: a status as HTTP has them, and its words."""

    status: int
    message: str


class Action(NamedTuple):
    """A request that a server wants: to where, with which headers."""

    href: str
    headers: Mapping[str, str]
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server says of one object. Without any action it is there, if it was to be sent.

    known: whether the headers of the actions say who we are; good_until: seconds of the monotonic clock."""

    upload: Action | None = None
    download: Action | None = None
    verify: Action | None = None
    known: bool = False
    good_until: float = math.inf
    refusal: Refusal | None = None

    def is_good(self, now: float) -> bool:
        """Tells whether the actions may still be used at a time of the monotonic clock."""
        return now < self.good_until

    def action(self, name: str) -> Action | None:
        """Returns the action of a name: `upload`, `download` or `verify`."""
        return {"upload": self.upload, "download": self.download, "verify": self.verify}[name]

    def sent(self) -> Offer:
        """Returns what is left to do when the content is there."""
        return replace(self, upload=None)


def encode_request(pointers: Sequence[Pointer], *, sending: bool) -> bytes:
    """Returns the body of a request; no `ref` is named, for runs are on no branch."""
    asked = {
        "operation": "upload" if sending else "download",
        "transfers": ["basic"],
        "objects": [{"oid": pointer.sha256, "size": pointer.size} for pointer in pointers],
        "hash_algo": "sha256",
    }
    return json.dumps(asked).encode()


def decode_answer(
    said: object, pointers: Sequence[Pointer], *, secure: bool, now: float, date: float
) -> dict[Pointer, Offer]:
    """Returns what an answer offers for each of `pointers`; raises ValueError for one that is no answer to this.

    secure: the answer came over https, and nothing in it may lead out of that. now, date: the monotonic clock in
    seconds, and the server's clock in Unix seconds."""
    if not isinstance(said, dict) or not isinstance(said.get("objects"), list):
        raise ValueError("it lists no objects")  # noqa: TRY004 - of what came, not of what was passed
    transfer, algorithm = said.get("transfer", "basic"), said.get("hash_algo", "sha256")
    if transfer not in ("basic", "", None):
        raise ValueError(f"it wants the transfer '{str(transfer)[:60]}', which was not offered")
    if algorithm not in ("sha256", "", None):
        raise ValueError(f"it hashes with '{str(algorithm)[:60]}'")
    by_oid: dict[object, list[dict[str, Any]]] = {}
    for each in said["objects"]:
        if isinstance(each, dict) and isinstance(each.get("oid"), str):
            by_oid.setdefault(each["oid"], []).append(each)
    return {
        pointer: _offer(_closest(by_oid.get(pointer.sha256, []), pointer), pointer, secure, now, date)
        for pointer in pointers
    }


def _closest(candidates: list[dict[str, Any]], pointer: Pointer) -> dict[str, Any] | None:
    of_size = [each for each in candidates if each.get("size", pointer.size) == pointer.size]
    return next(iter([*of_size, *candidates]), None)


def _offer(said: dict[str, Any] | None, pointer: Pointer, secure: bool, now: float, date: float) -> Offer:  # noqa: FBT001
    if said is None:
        return Offer(refusal=Refusal(0, "it says nothing of it"))
    error = said.get("error")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        status = code if isinstance(code, int) else 0
        return Offer(refusal=Refusal(status, " ".join(message.split())[:300] if isinstance(message, str) else ""))
    size = said.get("size", pointer.size)
    if size != pointer.size:
        return Offer(refusal=Refusal(409, f"its size is {str(size)[:20]} there, and not {pointer.size}"))
    actions = said.get("actions")
    if actions is not None and not isinstance(actions, dict):
        return Offer(refusal=Refusal(0, "its actions cannot be read"))
    found: dict[str, Action] = {}
    good_until = math.inf
    for name, each in (actions or {}).items():
        if name not in ("upload", "download", "verify"):
            continue
        try:
            found[name] = decode_action(each, secure=secure)
        except ValueError as exc:
            return Offer(refusal=Refusal(0, str(exc)))
        good_until = min(good_until, now + seconds_left(each, date=date) - _MARGIN)
    return Offer(**found, known=said.get("authenticated") is True, good_until=good_until)  # type: ignore[arg-type]


def decode_action(said: object, *, secure: bool) -> Action:
    """Returns what a server wants to be done; raises ValueError if it is nothing that we do."""
    if not isinstance(said, dict) or not isinstance(said.get("href"), str):
        raise ValueError("an action has no address")  # noqa: TRY004 - the same
    href = said["href"]
    if not is_web(href) or len(href) > 1 << 14:
        raise ValueError("the address of an action is none of the web")
    if secure and not href.startswith("https:"):
        raise ValueError("it came encrypted, and wants to go on without")
    headers = clean_headers(said.get("header"))
    if headers is None:
        raise ValueError("the headers of an action cannot be sent")
    given = said.get("header") or {}
    chunked = any(str(k).lower() == "transfer-encoding" and str(v).lower() == "chunked" for k, v in given.items())
    return Action(href, headers, chunked)


def seconds_left(said: Mapping[str, Any], *, date: float) -> float:
    """Returns for how many seconds something is good (`expires_in`, else `expires_at`); infinite if for ever.

    date: the server's clock, in Unix seconds."""
    left = said.get("expires_in")
    if isinstance(left, int | float) and not isinstance(left, bool) and left:
        return float(min(max(left, 0), _MOST_SECONDS)) if left == left else math.inf  # as wide as JSON has it
    text = said.get("expires_at")
    if not isinstance(text, str) or not text or text.startswith("0001-"):  # Go's word for never
        return math.inf
    try:
        moment = datetime.fromisoformat(re.sub(r"\.\d+", "", text))
    except ValueError:
        return math.inf
    return max(moment.timestamp() - date, 0.0) if moment.tzinfo else math.inf
