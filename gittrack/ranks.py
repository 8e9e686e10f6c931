"""Which of the processes of one distributed training this one is.

A launcher starts the same script many times, and each of them calls `init()`. They are one run: the first records
it, the others write into it, a journal each. What the launcher put into the environment says who is who."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

# Rank, number of processes, and what names the launch; the first whose rank is set is believed.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID MASTER_ADDR MASTER_PORT TORCHELASTIC_RESTART_COUNT"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_MCA_ess_base_jobid PMIX_NAMESPACE OMPI_MCA_orte_hnp_uri"),
    ("PMI_RANK", "PMI_SIZE", "PMI_JOBID HYDRA_JOBID PMI_ID_NAMESPACE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MPIRUN_ID MPIRUN_HOST"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_ID SLURM_STEP_ID SLURM_RESTART_COUNT"),
)
_UNIQUE = "TORCHELASTIC_RUN_ID OMPI_MCA_ess_base_jobid PMIX_NAMESPACE PMI_JOBID HYDRA_JOBID SLURM_JOB_ID".split()
VARIABLES = tuple(rank for rank, _, _ in _LAUNCHERS)
_LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")


@dataclass(frozen=True, slots=True)
class Rank:
    """A process of a launch: its rank, its rank on this machine, and a text that all processes of the launch share.

    unique: whether no other launch ever has that text; where the launcher gave no name, a later one may."""

    number: int
    local: int
    launch: str
    unique: bool


def read_rank(environ: Mapping[str, str], *, parent: str, turn: int) -> Rank | None:
    """Returns which process of which launch this is, or None if it was started alone.

    parent: what tells the process that started this one from all others; it names the launch where all of it is on
    one machine. turn: how often this process asked before, for a script may record several runs."""
    for rank, size, names in _LAUNCHERS:
        number = _number(environ.get(rank))
        if number is None:
            continue
        count = _number(environ.get(size))
        if count == 1:
            return None
        parts = [f"{name}={environ[name]}" for name in names.split() if name in environ]
        if _is_on_one_machine(environ, count) or not parts:
            parts.append(f"parent={parent}")
        named = "\n".join([rank, *parts, f"turn={turn}"]).encode("utf-8", "surrogateescape")
        local = next((found for name in _LOCAL_RANKS if (found := _number(environ.get(name))) is not None), number)
        unique = any(environ.get(name, "none") != "none" for name in names.split() if name in _UNIQUE)
        return Rank(number, local, hashlib.sha256(named).hexdigest()[:16], unique)
    return None


def _is_on_one_machine(environ: Mapping[str, str], count: int | None) -> bool:
    here = environ.get("LOCAL_WORLD_SIZE") or environ.get("OMPI_COMM_WORLD_LOCAL_SIZE")
    if here is not None:
        return _number(here) == count
    return environ.get("SLURM_NNODES") == "1"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def parent_process(start_time: int | None) -> str:
    """Returns what tells our parent process from all others; start_time: of the parent, in ticks since boot."""
    return f"{os.getppid()}:{start_time}"
