"""Which clone this is: each archives under a name of its own, so that no two write one archive."""

from __future__ import annotations

import json
import os

from gittrack.git import Git
from gittrack.refname import is_clone_id, new_clone_id
from gittrack.shared import make_folder, share


def clone_id(git: Git, *, host: str, random: int) -> str:
    """Returns the id of this clone, under which it archives; it is drawn when first asked for.

    It is bound to host and path, for a copy of a clone is another clone."""
    file = git.place.common_dir / "gittrack" / "clone"
    bound = {"host": host, "path": str(git.place.common_dir)}
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError):
        said = None
    if isinstance(said, dict) and is_clone_id(str(said.get("id"))) and bound.items() <= said.items():
        return str(said["id"])
    made = {"id": new_clone_id(random), **bound}
    make_folder(file.parent)
    new = file.with_name(f"clone.{os.getpid()}")
    new.write_text(json.dumps(made), "utf-8")
    share(new)
    new.replace(file)
    return str(made["id"])
