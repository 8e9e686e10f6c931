"""Many refs at once, of which somebody may move one meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from gittrack.git import Git, RefMoved, Update


def move(git: Git, updates: Sequence[Update], *, durable: bool = True) -> list[Update]:
    """Changes refs, each from its expected old value, and returns the changes that came true.

    One that another process moved stands in nobody's way: the others are tried again in halves."""
    if not updates:
        return []
    try:
        git.update_refs(updates, durable=durable)
    except RefMoved:
        half = len(updates) // 2
        return (
            [*move(git, updates[:half], durable=durable), *move(git, updates[half:], durable=durable)] if half else []
        )
    return list(updates)
