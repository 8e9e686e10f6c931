"""What an index says of itself, and whether that is still so.

Apart from what brings it up to date, because most listings find it fresh and need no more than this."""

from __future__ import annotations

import json
from typing import NamedTuple

from gittrack.git import Git
from gittrack.index import database as file
from gittrack.index import freshness
from gittrack.index.database import Database


class State(NamedTuple):
    """What an index says of itself."""

    look: freshness.Look
    counter: int
    has_damage: bool


def read_state(database: Database) -> State:
    """Returns what an index says of itself; raises Unusable."""
    with file.translated():
        asked = "SELECT stamps, taken, counter, EXISTS (SELECT 1 FROM damaged) FROM state"
        found = database.connection.execute(asked).fetchone()
    try:
        stamps, taken, counter, damaged = found
        known = {name: tuple(stamp) if stamp else None for name, stamp in json.loads(stamps).items()}
    except (ValueError, TypeError, AttributeError) as exc:
        raise file.Unusable(str(exc)) from exc
    return State(freshness.Look(known, taken), counter, bool(damaged))


def is_fresh(git: Git, state: State) -> bool:
    """Tells whether no ref moved since the index was written; where that is not certain, no."""
    known = state.look
    if not known.settled or not known.stamps or state.has_damage:
        return False
    return freshness.look(git.place.common_dir, folders(known)).stamps == known.stamps


def folders(look: freshness.Look) -> set[str]:
    """Returns the folders of refs that were looked at."""
    return look.stamps.keys() - {freshness.PACKED, freshness.TABLES}
