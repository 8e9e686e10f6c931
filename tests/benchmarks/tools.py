"""What is measured: gittrack, its peers, and the floors.

A peer is one row here and one file in subjects/."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parents[2]

Kind = Literal["ours", "peer", "floor"]


@dataclass(frozen=True)
class Tool:
    """One row of every table. `{out}` in its words is the ignored folder of the repository."""

    name: str
    subject: str
    kind: Kind = "peer"
    module: str = ""
    distribution: str = ""
    takes: str = "import log steps loop"
    env: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    listing: str = ""
    search: str = ""  # Python that gives 20 runs of which a metric is high, the best first


@dataclass(frozen=True)
class Installed:
    """A tool that is here, and how its interpreter is called."""

    tool: Tool
    python: Path
    version: str
    env: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def kind(self) -> Kind:
        return self.tool.kind

    def takes(self, benchmark: str) -> bool:
        """Returns whether the tool can do what this benchmark asks."""
        return benchmark in self.tool.takes.split()

    def env_in(self, folder: Path) -> dict[str, str]:
        """Returns the environment for work in one repository."""
        named = {key: text.format(out=folder / "out") for key, text in self.tool.env.items()}
        return {**self.env, **named}


TOOLS = (
    Tool(
        "gittrack",
        "gittrack",
        kind="ours",
        module="gittrack",
        takes="import begin log steps million finish loop growth find frames points artifacts guest kill",
        listing="git track ls",
    ),
    Tool(
        "wandb",
        "wandb",
        module="wandb",
        takes="import begin log steps loop artifacts",
        env={"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"},
    ),
    Tool(
        "trackio",
        "trackio",
        module="trackio",
        takes="import begin log steps million loop growth kill artifacts",
        env={"TRACKIO_DIR": "{out}/trackio", "HF_HUB_OFFLINE": "1"},
        listing="trackio list runs --project bench",
    ),
    Tool(
        "mlflow",
        "mlflow",
        module="mlflow",
        takes="import begin log steps loop growth crowd find frames points kill artifacts",
        env={
            "MLFLOW_TRACKING_URI": "sqlite:///{out}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
        listing="mlflow runs list --experiment-id 1",
        search=(
            "mlflow.search_runs(experiment_names=['bench'], filter_string='metrics.acc > 0.9', "
            "order_by=['metrics.acc DESC'], max_results=20)"
        ),
    ),
    Tool("sacred", "sacred", module="sacred", takes="import begin log steps million loop kill"),
    Tool("tensorboardX", "tensorboardx", module="tensorboardX", takes="import log steps points kill"),
    Tool("aim", "aim", module="aim", takes="import log steps loop find artifacts", listing="aim runs --repo {out} ls"),
    Tool(
        "dvc",
        "dvc",
        module="dvclive",
        distribution="dvclive",
        takes="import log steps loop find kill artifacts",
        env={"DVC_NO_ANALYTICS": "1"},
        setup=("dvc init -q", "git add .", "git commit -qm dvc"),
        listing="dvc exp show --no-pager",
    ),
    Tool("git status", "gitstatus", kind="floor", takes="begin"),
    Tool("git status, update-index, write-tree", "gitsnapshot", kind="floor", takes="begin"),
    Tool("os.write, packed", "packed", kind="floor", takes="log kill"),
    Tool("JSON lines", "jsonl", kind="floor", takes="log steps million kill"),
    Tool("JSON lines, buffered", "buffered", kind="floor", takes="log kill"),
    Tool("sqlite, one transaction", "sqlite", kind="floor", takes="steps"),
    Tool("the loop alone", "nothing", kind="floor", takes="million"),
)


def discover(peers: Path | None, env: Mapping[str, str]) -> tuple[Installed, ...]:
    """Returns the tools that are here, each with the interpreter that can import it."""
    found = (locate(tool, peers, env) for tool in TOOLS)
    return tuple(tool for tool in found if tool is not None)


def missing(installed: Iterable[Installed]) -> list[str]:
    """Returns the names of the tools that are not here."""
    here = {tool.name for tool in installed}
    return [tool.name for tool in TOOLS if tool.name not in here]


def locate(tool: Tool, peers: Path | None, env: Mapping[str, str]) -> Installed | None:
    """Returns the tool with its interpreter, if that can import it."""
    own = Path(sys.executable)
    if tool.kind == "floor":
        return Installed(tool, own, "", env)
    places = [] if peers is None else [peers.resolve() / tool.name / "bin" / "python"]
    if tool.kind == "ours":
        places.append(own)
    for python in places:
        there = with_programs(env, python)
        if python.exists() and imports(tool, python, there):
            return Installed(tool, python, version(tool, python, there), there)
    if tool.kind == "ours" and (ROOT / "gittrack" / "__init__.py").exists():
        return from_checkout(tool, own, env)
    return None


def from_checkout(tool: Tool, python: Path, env: Mapping[str, str]) -> Installed:
    """Returns gittrack as it stands in this checkout, with a `git-track` that runs it."""
    programs = Path(env["HOME"]) / "bin"
    programs.mkdir()
    script = programs / "git-track"
    script.write_text(f'#!/bin/sh\nexec "{python}" -m gittrack "$@"\n')
    script.chmod(0o755)
    path = f"{programs}{os.pathsep}{env['PATH']}"
    return Installed(tool, python, "checkout", {**env, "PYTHONPATH": str(ROOT), "PATH": path})


def with_programs(env: Mapping[str, str], python: Path) -> dict[str, str]:
    """Returns the environment in which the programs beside an interpreter come first."""
    return {**env, "PATH": f"{python.parent}{os.pathsep}{env['PATH']}"}


def imports(tool: Tool, python: Path, env: Mapping[str, str]) -> bool:
    """Returns whether an interpreter can import the tool."""
    words = [str(python), "-c", f"import {tool.module}"]
    return subprocess.run(words, env=env, cwd=env["HOME"], capture_output=True, check=False).returncode == 0


def version(tool: Tool, python: Path, env: Mapping[str, str]) -> str:
    """Returns the version that is installed."""
    name = tool.distribution or tool.module
    code = f"from importlib.metadata import version; print(version({name!r}))"
    words = [str(python), "-c", code]
    done = subprocess.run(words, env=env, cwd=env["HOME"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
