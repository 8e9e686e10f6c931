"""Measures gittrack beside other trackers and beside what the machine can do at best.

    python tests/benchmarks/bench.py --help

The peers live in environments of their own, which `peers.sh DIR` makes: `--peers DIR`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import machine
import measures
import report
import sandbox
import tools
from runner import Bench, WorkFailedError


def main() -> int:
    """Runs the benchmarks that were asked for and prints one table for each."""
    wanted = arguments()
    facts = machine.describe(wanted.dir)
    if wanted.quick:
        facts["sizes"] = "quick sizes, which show that it runs and prove nothing"
    print(report.heading(facts), flush=True)
    tables: list[report.Table] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.dir) as folder:
        box = sandbox.make(Path(folder))
        installed = tools.discover(wanted.peers, box.env)
        bench = Bench(box, installed, quick=wanted.quick, kills=wanted.kills)
        if absent := tools.missing(installed):
            print(report.absent(absent, peers_given=wanted.peers is not None))
        for name in wanted.only or measures.ALL:
            try:
                table = measures.ALL[name](bench)
            except WorkFailedError as failure:
                bench.failures.append(f"{name}: {failure}")
                bench.ours_failed = True
                continue
            tables.append(table)
            print("\n" + report.as_text(table), flush=True)
    for line in bench.failures:
        print(f"not measured: {line}", file=sys.stderr)
    if wanted.json:
        wanted.json.write_text(json.dumps(report.as_json(facts, tables), indent=1) + "\n")
    if wanted.markdown:
        wanted.markdown.write_text(report.as_markdown(facts, tables))
    return 1 if bench.ours_failed else 0


def arguments() -> argparse.Namespace:
    """Returns what the command line says."""
    parser = argparse.ArgumentParser(prog="bench.py", description="measures gittrack beside its peers and the floors")
    add = parser.add_argument
    add("--peers", type=Path, help="folder with one virtual environment for each peer")
    add("--only", type=names, help="some of: " + ", ".join(measures.ALL), metavar="NAME,...")
    add("--quick", action="store_true", help="small sizes: to try, not to quote")
    add("--kills", type=int, help="how often the kill benchmark kills (30)")
    add("--dir", type=Path, help="work on the disk of this folder", default=tempfile.gettempdir())
    add("--json", type=Path, help="write every number here", metavar="FILE")
    add("--markdown", type=Path, help="write the tables for the docs here", metavar="FILE")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Returns the benchmarks that are named, each of which there is."""
    found = text.split(",")
    for name in found:
        if name not in measures.ALL:
            raise argparse.ArgumentTypeError(f"no benchmark '{name}' in {', '.join(measures.ALL)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
