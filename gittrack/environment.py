"""What a run was made with besides its code: interpreter, packages, machine, chosen variables.

All of it is read from files in a few milliseconds; no library is imported and no process started."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gittrack import redact
from gittrack.codec import yaml12
from gittrack.git import Git
from gittrack.settings import Settings
from gittrack.shared import make_folder, share
from gittrack.version import VERSION

MAX_LOCK_FILE = 4 * 1024 * 1024
LOCK_FILES = (
    "uv.lock poetry.lock pdm.lock Pipfile.lock pixi.lock conda-lock.yml pylock.toml requirements.txt environment.yml"
).split()

VARIABLES = (
    "CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES OMP_NUM_THREADS "
    "MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS PYTHONHASHSEED PYTHONPATH CONDA_DEFAULT_ENV "
    "VIRTUAL_ENV CUBLAS_WORKSPACE_CONFIG TF_DETERMINISTIC_OPS XLA_FLAGS NCCL_DEBUG NCCL_P2P_DISABLE RANK "
    "LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR SLURM_JOB_ID SLURM_JOB_NAME SLURM_ARRAY_JOB_ID "
    "SLURM_ARRAY_TASK_ID SLURM_PROCID SLURM_NTASKS SLURM_NNODES SLURM_NODELIST SLURM_JOB_PARTITION "
    "SLURM_CPUS_PER_TASK SLURM_GPUS PBS_JOBID LSB_JOBID JOB_ID OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE TZ LANG "
    "LC_ALL HF_HUB_OFFLINE TOKENIZERS_PARALLELISM JAX_PLATFORMS KERAS_BACKEND CI GITHUB_RUN_ID GITHUB_SHA "
    "CI_JOB_ID"
).split()


_PYTHON = re.compile(r"(python|pypy)[0-9.]*")
_machine: dict[str, Any] = {}
_installed: dict[tuple[tuple[str, int], ...], list[str]] = {}


def packages(folders: Sequence[str] | None = None) -> list[str]:
    """Returns `name==version` of every installed distribution, sorted; `name @ url` where it came from a url.

    Reads the names of the metadata folders (PEP 376, PEP 610) rather than parsing them: 1 ms instead of 60. The
    answer is kept while none of the folders (by default `sys.path`) changes."""
    searched = sys.path if folders is None else folders
    key = tuple((entry, _changed_at(entry or ".")) for entry in searched)
    if key not in _installed:
        _installed.clear()
        _installed[key] = _list_packages(searched)
    return _installed[key]


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _list_packages(folders: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for entry in reversed(folders):
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in names:
            if not name.endswith(".dist-info"):
                continue
            project, dash, version = name.removesuffix(".dist-info").partition("-")
            if dash:
                canonical = re.sub(r"[-_.]+", "-", project).lower()
                found[canonical] = _origin(os.path.join(entry, name)) or f"=={version}"
    return sorted(name + version for name, version in found.items())


def _origin(folder: str) -> str | None:
    try:
        with open(os.path.join(folder, "direct_url.json"), encoding="utf-8") as file:
            text = file.read(100_000)
    except OSError:
        return None
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        facts = json.loads(text)
        commit = facts.get("vcs_info", {}).get("commit_id")
        return f" @ {redact.address(facts['url'])}" + (f"@{commit}" if commit else "")
    return None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that is not this one: what runs a recorded command."""

    executable: str
    version: str
    folders: tuple[str, ...]


def interpreter_of(program: str) -> Interpreter | None:
    """Returns the Python that `program` (a path) is or begins with, or None if it is no Python program.

    Nothing is started: the version and the packages are read from the folders beside it."""
    python = program if _PYTHON.fullmatch(os.path.basename(program)) else _shebang(program)
    if python is None:
        return None
    prefix = Path(python).parent.parent
    found = sorted(prefix.glob("lib/python3.*/site-packages"))
    if not found:
        prefix = Path(os.path.realpath(python)).parent.parent
        found = sorted(prefix.glob("lib/python3.*/site-packages"))
    version = found[-1].parent.name.removeprefix("python") if found else ""
    with contextlib.suppress(OSError):
        settings = (prefix / "pyvenv.cfg").read_text("utf-8", "replace")
        exact = re.search(r"^version(?:_info)?\s*=\s*([0-9.]+)", settings, re.MULTILINE)
        version = exact[1] if exact else version
    return Interpreter(python, version, tuple(map(str, found)))


def _shebang(program: str) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError), open(program, "rb") as file:
        first = file.readline(400)
        words = first.removeprefix(b"#!").decode().split() if first.startswith(b"#!") else []
        if words and os.path.basename(words[0]) == "env":
            words = [shutil.which(word) or "" for word in words[1:2]]
        if words and _PYTHON.fullmatch(os.path.basename(words[0])):
            return words[0]
    return None


def machine() -> dict[str, Any]:
    """Returns interpreter, platform and hardware as they stand in `env/environment.yaml`."""
    system = os.uname() if hasattr(os, "uname") else None
    facts: dict[str, Any] = {
        "python": {
            "version": ".".join(map(str, sys.version_info[:3])),
            "implementation": sys.implementation.name,
            "executable": sys.executable,
        },
        "platform": {
            "system": system.sysname if system else sys.platform,
            "release": system.release if system else "",
            "machine": system.machine if system else "",
        },
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
        "memory": _memory(),
        "gpus": _gpus(),
    }
    return {key: value for key, value in facts.items() if value}


def _cpu_model() -> str | None:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", file.read(65536), re.MULTILINE)
        return found[1].strip() if found else None
    return None


def _memory() -> int | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _gpus() -> list[dict[str, str]]:
    """Returns the NVIDIA GPUs that the kernel's driver names; no library, no process."""
    found = []
    driver = None
    with contextlib.suppress(OSError), open("/proc/driver/nvidia/version", encoding="utf-8") as file:
        version = re.search(r"Kernel Module\s.*?\s([0-9]+(?:\.[0-9]+)+)", file.read(1000))
        driver = version[1] if version else None
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            facts = dict(re.findall(r"^([^:\n]+):\s*(.+?)\s*$", path.read_text("utf-8"), re.MULTILINE))
            gpu = {"name": facts.get("Model"), "uuid": facts.get("GPU UUID"), "driver": driver}
            found.append({key: value for key, value in gpu.items() if value})
    return found


def variables(settings: Settings, *, redacting: bool = True) -> dict[str, str]:
    """Returns the environment variables of the allow-list that are set, with secrets replaced if asked."""
    extra = settings.get("envAllow").replace(",", " ").split()
    exact = {*VARIABLES, *(name for name in extra if "*" not in name)}
    patterns = [name for name in extra if "*" in name]
    environ = settings.environ
    names = [
        name for name in environ if name in exact or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
    found = {name: environ[name] for name in sorted(names)}
    return redact.params(found)[0] if redacting else found


def directory_in(work_tree: Path | None) -> str | None:
    """Returns the current folder relative to a work tree, or None where it is not inside, or is gone."""
    with contextlib.suppress(OSError):
        here = Path.cwd()
        if work_tree and here.is_relative_to(work_tree):
            return here.relative_to(work_tree).as_posix()
    return None


def lock_files(root: Path | None) -> dict[str, bytes]:
    """Returns the project's lock files at the top of the work tree, name to content."""
    found = {}
    for name in LOCK_FILES if root else ():
        path = Path(root or ".") / name
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_size <= MAX_LOCK_FILE:
                found[name] = path.read_bytes()
    return found


def write(git: Git, settings: Settings, folder: Path, *, program: str | None = None, redacting: bool = True) -> None:
    """Writes what goes into `env/`, as it will stand in the commit.

    Of this process; or, with the path of a `program` that is about to be run, of the Python that will run it."""
    if not _machine:
        _machine.update(machine(), git=git.version)
    facts = {**_machine, "gittrack": VERSION, "variables": variables(settings, redacting=redacting)}
    listed: list[str] = []
    if program is None:
        listed = packages()
    else:
        del facts["python"]
        python = interpreter_of(program)
        if python is not None:
            facts = {"python": {"version": python.version, "executable": python.executable}, **facts}
            listed = packages(python.folders)
    env = folder / "env"
    make_folder(env)
    (env / "environment.yaml").write_bytes(yaml12.encode({key: value for key, value in facts.items() if value}))
    (env / "packages.txt").write_text("".join(f"{line}\n" for line in listed), "utf-8")
    for name, content in lock_files(git.place.work_tree).items():
        (env / name).write_bytes(content)
    for file in env.iterdir():
        share(file)
