"""`run.config` and `run.summary`: what a script reads back of the run it records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from gittrack import values
from gittrack.codec import yaml12
from gittrack.draft import merge_params
from gittrack.errors import GittrackError


def as_mapping(params: Any) -> dict[str, Any]:
    """Returns what was given as params as a dict: a mapping, a namespace, a dataclass, or a YAML file's path."""
    if params is None:
        return {}
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, str | Path):
        return yaml12.decode(Path(params).read_bytes(), name=str(params))
    plain = values.plain(params, lossy=lambda _path, _why: None)
    if not isinstance(plain, dict):
        raise TypeError(f"params are a mapping, not {type(params).__name__}")
    return plain


def read_params(*given: Any, complain: Callable[[str], None]) -> dict[str, Any]:
    """Returns what was given as params as one dict; what cannot be read is complained of, and training goes on."""
    found: dict[str, Any] = {}
    for params in given:
        try:
            found |= as_mapping(params)
        except Exception as exc:  # noqa: BLE001 - a user's object may raise anything, and a file may not be there
            why = exc.cause or exc.message if isinstance(exc, GittrackError) else str(exc)
            complain(f"params that cannot be read are left out ({why})")
    return found


class Params(MutableMapping[str, Any]):
    """`run.config`: the params as the script sees them, by item and by attribute.

    Setting one records it. What is read back is what was set last; what the run keeps as its param is the first."""

    def __init__(self, record: Callable[[Mapping[str, Any]], None]) -> None:
        object.__setattr__(self, "_record", record)
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_kept", {})

    def remember(self, given: Mapping[str, Any]) -> None:
        """Makes values readable without recording them."""
        self._values.update({str(key): _Node(value) if type(value) is dict else value for key, value in given.items()})

    def merge(self, plain: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Adds plain values to what is kept; returns those that had another value."""
        return merge_params(self._kept, plain)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._record({key: value})

    def __delitem__(self, key: str) -> None:
        raise TypeError("a param that was recorded cannot be removed")

    def __getattr__(self, key: str) -> Any:
        try:
            return object.__getattribute__(self, "_values")[key]
        except KeyError:
            raise AttributeError(f"no param '{key}'") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def update(self, *args: Any, allow_val_change: bool = False, **more: Any) -> None:  # noqa: ARG002 - W&B's argument; every change is kept
        """Records params from a mapping, a namespace, or keywords."""
        for given in (*args, more):
            self._record(as_mapping(given))

    def setdefaults(self, given: Any) -> None:
        """Records those params that have no value yet."""
        self._record({key: value for key, value in as_mapping(given).items() if key not in self})

    def as_dict(self) -> dict[str, Any]:
        """Returns the params as a dict."""
        return dict(self._values)


class _Node(dict[str, Any]):
    """A nested mapping of params that can be read by attribute too."""

    def __getattr__(self, key: str) -> Any:
        try:
            value = self[key]
        except KeyError:
            raise AttributeError(f"no param '{key}'") from None
        return _Node(value) if type(value) is dict else value


class Summary(MutableMapping[str, Any]):
    """`run.summary`: the last value of every metric; setting one puts a value of your own in its place."""

    def __init__(self, latest: Callable[[], Mapping[str, float]], record: Callable[[str, Any], None]) -> None:
        object.__setattr__(self, "_latest", latest)
        object.__setattr__(self, "_record", record)
        object.__setattr__(self, "_set", {})

    def _all(self) -> dict[str, Any]:
        return {**self._latest(), **self._set}

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        name = values.clean_name(key)
        self._set[name] = value
        self._record(name, value)

    def __delitem__(self, key: str) -> None:
        self._set.pop(key, None)

    def __getattr__(self, key: str) -> Any:
        try:
            return self._all()[key]
        except KeyError:
            raise AttributeError(f"no summary '{key}'") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def update(self, *args: Any, **more: Any) -> None:
        """Sets several at once."""
        for key, value in {**(dict(args[0]) if args else {}), **more}.items():
            self[key] = value
