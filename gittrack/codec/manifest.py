"""The YAML files of a run (docs/format.md, chapter 6), for people and for `git diff`.

Nothing that lists runs reads them: the record in the commit message is the machine's copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gittrack.codec import yaml12
from gittrack.codec.pointer import MAX_SIZE
from gittrack.errors import DataRefused
from gittrack.model import Artifact, Code, Metric, Omitted, State
from gittrack.refname import Oid, is_oid

MAX_OMITTED = 1000
MAX_INPUTS = 1000
MANY = yaml12.Limits(16 << 20, 400_000)  # of `artifacts.yaml`: some twenty thousand images
RUN_KEYS = (
    "format id name status created ended duration author host user pid command directory folder exit_code signal error "
    "project entity job_type job launch group parent tags notes code inputs seeds processes resumed dropped corrupt "
    "rounded redacted redact"
).split()


def encode_run(facts: Mapping[str, Any]) -> bytes:
    """Returns `run.yaml`: the keys of chapter 6 in their order, those without a value left out."""
    given = {key: facts[key] for key in RUN_KEYS if key in facts and facts[key] not in (None, (), [], {})}
    return yaml12.encode(yaml12.fitting({"format": 1} | given))


def decode_run(raw: bytes) -> dict[str, Any]:
    """Returns the mapping in `run.yaml`; raises DataRefused if it is of a newer format."""
    facts = yaml12.decode(raw, name="run.yaml")
    if facts.get("format") != 1:
        raise DataRefused(
            "cannot read 'run.yaml'",
            cause=f"format {facts.get('format')!r} is not known to this version",
            hint="install a newer gittrack",
        )
    return facts


def base_state(facts: Mapping[str, Any]) -> State:
    """Returns what was recorded of the things that edits change."""
    return State(
        name=str(facts.get("name", "")),
        status=str(facts.get("status", "")),
        tags=tuple(str(tag) for tag in _list(facts.get("tags"))),
        group=_text(facts.get("group")),
        notes=tuple(str(note) for note in _list(facts.get("notes"))),
    )


def code_facts(code: Code) -> dict[str, Any]:
    """Returns `code` as it stands in `run.yaml`."""
    facts: dict[str, Any] = {
        "commit": code.commit,
        "branch": code.branch,
        "remote": code.remote,
        "dirty": code.dirty,
        "snapshot": code.snapshot,
        "omitted": [
            {"path": left.path} | ({"size": left.size} if left.size is not None else {}) | {"why": left.why}
            for left in code.omitted[:MAX_OMITTED]
        ],
        "omitted_more": len(code.omitted[MAX_OMITTED:]) or None,
    }
    return {key: value for key, value in facts.items() if value not in (None, [])}


def read_code(facts: Any) -> Code:
    """Returns the code from `run.yaml`."""
    if not isinstance(facts, Mapping):
        return Code()
    return Code(
        commit=_oid(facts.get("commit")),
        branch=_text(facts.get("branch")),
        remote=_text(facts.get("remote")),
        dirty=bool(facts.get("dirty")),
        snapshot=_oid(facts.get("snapshot")),
        omitted=tuple(
            Omitted(str(left.get("path")), str(left.get("why")), left.get("size"))
            for left in _list(facts.get("omitted"))
            if isinstance(left, Mapping)
        ),
    )


def read_inputs(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the files of other runs that a run used, from `run.yaml`: `run`, `path`, `sha256`, `size` of each."""
    found = [item for item in _list(facts.get("inputs")) if isinstance(item, Mapping)]
    return [{key: item.get(key) for key in ("run", "path", "sha256", "size")} for item in found[:MAX_INPUTS]]


def encode_metrics(metrics: Mapping[str, Metric]) -> bytes:
    """Returns `metrics.yaml`, sorted by name, as far as a reader takes it: the history has all of them."""
    return yaml12.encode(yaml12.fitting({name: metrics[name].facts() for name in sorted(metrics, key=str.encode)}))


def decode_metrics(raw: bytes) -> dict[str, Metric]:
    """Returns the metrics in `metrics.yaml`; raises DataRefused for a metric without its numbers."""
    found = {}
    for name, facts in yaml12.decode(raw, name="metrics.yaml").items():
        try:
            found[name] = Metric(
                last=float(facts["last"]),
                step=int(facts["step"]),
                min=float(facts["min"]),
                min_step=int(facts["min_step"]),
                max=float(facts["max"]),
                max_step=int(facts["max_step"]),
                mean=float(facts["mean"]),
                count=int(facts["count"]),
                goal=facts.get("goal") if facts.get("goal") in ("min", "max") else None,
                nan=int(facts.get("nan", 0)),
                summary=None if facts.get("summary") is None else float(facts["summary"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise DataRefused("cannot read 'metrics.yaml'", cause=f"metric '{name[:80]}' is incomplete") from exc
    return found


def encode_artifacts(artifacts: Iterable[Artifact]) -> bytes:
    """Returns `artifacts.yaml`, sorted by path."""
    return yaml12.encode({item.path: artifact_facts(item) for item in sorted(artifacts, key=lambda item: item.path)})


def fitting_artifacts(artifacts: Iterable[Artifact]) -> set[str]:
    """Returns the paths of those artifacts that a reader of `artifacts.yaml` takes."""
    return set(yaml12.fitting({item.path: artifact_facts(item) for item in artifacts}, limits=MANY))


def artifact_facts(item: Artifact) -> dict[str, Any]:
    """Returns an artifact as it stands in `artifacts.yaml` and in `--json`."""
    facts: dict[str, Any] = {
        "kind": item.kind,
        "size": item.size,
        "sha256": item.sha256,
        "name": item.name,
        "type": item.type,
        "aliases": list(item.aliases) or None,
        "metadata": item.metadata or None,
        "step": item.step,
    }
    return {key: value for key, value in facts.items() if value is not None}


def decode_artifacts(raw: bytes) -> list[Artifact]:
    """Returns the artifacts in `artifacts.yaml`."""
    found = []
    for path, facts in yaml12.decode(raw, name="artifacts.yaml", limits=MANY).items():
        size = facts.get("size") if isinstance(facts, Mapping) else None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
            raise DataRefused("cannot read 'artifacts.yaml'", cause=f"artifact '{path[:80]}' is incomplete")
        found.append(
            Artifact(
                path=path,
                size=size,
                sha256=str(facts.get("sha256")),
                kind=str(facts.get("kind", "blob")),
                name=_text(facts.get("name")),
                type=_text(facts.get("type")),
                aliases=tuple(str(alias) for alias in _list(facts.get("aliases"))),
                metadata=facts.get("metadata") if isinstance(facts.get("metadata"), Mapping) else None,
                step=facts.get("step"),
            )
        )
    return found


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _oid(value: Any) -> Oid | None:
    if value is None:
        return None
    if not is_oid(str(value)):
        raise DataRefused("cannot read 'run.yaml'", cause=f"'{value!s:.40}' is no object id")
    return Oid(str(value))
