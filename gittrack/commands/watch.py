"""`git track watch`: runs as they go.

It must cost the training next to nothing, so each byte of a journal is read once (`following`), and what is on the
screen is overwritten where it changed, in one write. No mode of the terminal is changed, so nothing has to be put back,
however it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import click

from gittrack import following, journal, output
from gittrack.chart import bars, canvas, curves, plot
from gittrack.chart.rolling import Rolling
from gittrack.commands import common
from gittrack.errors import DataRefused, GittrackError
from gittrack.model import SYSTEM, Run
from gittrack.refname import RunId
from gittrack.terminal import printable

QUIET_SECONDS = 2  # without a point, after which a process is looked at
METRICS = 3  # in the table, unless they are named
CURVES = 8  # in the chart
SPARK = 12


@dataclass
class Watched:
    """One run on the screen; follower is None before it is recorded here and after it ended."""

    id: RunId
    follower: following.Follower | None = None
    metrics: dict[str, Rolling] = field(default_factory=dict)
    goals: set[str] = field(default_factory=set)  # the metrics that have one
    run: Run | None = None  # once it has a commit
    name: str = ""
    status: str = ""
    step: int | None = None
    began: float = 0.0
    seen: float = 0.0  # when something new came, or its process was looked at
    told: tuple[Any, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it takes so far, or took; None if that is not known."""
        if self.follower is not None:
            return max(0.0, time.time() - self.began)
        return self.run.duration if self.run else None


class World:
    """The runs that are watched: those named, or all that are being recorded."""

    def __init__(self, place: Any, chosen: Sequence[Run] | None) -> None:
        self.place = place
        self.root = journal.live_root(place.git.place.common_dir)
        self.all = chosen is None
        self.runs: dict[RunId, Watched] = {}
        for run in chosen or ():
            self.runs[run.id] = Watched(run.id)
            if not common.is_live(run):
                self._end(self.runs[run.id], run)

    @property
    def running(self) -> list[Watched]:
        """Those that may get more points."""
        return [run for run in self.runs.values() if run.follower is not None]

    def look(self) -> None:
        """Takes in what came since the last look: points, runs that began, runs that ended."""
        for folder in journal.run_folders(self.root):
            watched = self.runs.get(RunId(folder.name))
            if watched is None and self.all:
                watched = self.runs.setdefault(RunId(folder.name), Watched(RunId(folder.name)))
            if watched is not None and watched.follower is None:
                with contextlib.suppress(FileNotFoundError, DataRefused, KeyError, TypeError, ValueError):
                    watched.follower = following.Follower(folder, watched.metrics)
                    watched.began, watched.run, watched.seen = watched.follower.began, None, time.time()
        self.runs = {key: run for key, run in self.runs.items() if run.follower or run.run or run.name or not self.all}
        ended = [run for run in self.running if not self._read(run)]
        if ended:
            found = common.read_runs(self.place, deleted=True).index
            for run in ended:
                self._end(run, found.by_id(run.id))

    def _read(self, watched: Watched) -> bool:
        """Takes in what one run logged; returns whether it is still being recorded."""
        follower = watched.follower
        if follower is None:
            return False
        try:
            news = follower.read()
        except (FileNotFoundError, NotADirectoryError):
            return False
        now = time.time()
        watched.name, watched.step, watched.status = follower.name, follower.step, "running"
        watched.goals.update(follower.goals)
        if news:
            watched.seen = now
        elif now - watched.seen > QUIET_SECONDS:
            watched.seen = now
            return not self._is_over(watched, now)
        return True

    def _is_over(self, watched: Watched, now: float) -> bool:
        """Tells whether the process of a run is gone; then the run is sealed, as by any command."""
        from gittrack import leftovers, seal

        with contextlib.suppress(OSError, GittrackError, KeyError, TypeError, ValueError):
            if leftovers.writers(self.root / watched.id, now=now):
                return False
            seal.recover(self.place.git, now=now, sign=self.place.sign)
            return True
        return False

    def _end(self, watched: Watched, run: Run | None) -> None:
        """Notes how a run ended; one that has no commit either was removed or could not be sealed."""
        if run is not None and common.is_live(run):  # begun again meanwhile: the next look finds it
            run = None
        watched.follower, watched.run = None, run
        watched.status = run.status if run else "gone"
        watched.name = run.name if run else watched.name or watched.id
        if run is None:
            return
        watched.step = max(
            (metric.step for name, metric in run.metrics.items() if not name.startswith(SYSTEM)), default=None
        )
        watched.goals.update(name for name, metric in run.metrics.items() if metric.goal)
        for name, metric in run.metrics.items():
            if name not in watched.metrics:
                watched.metrics[name] = Rolling()
                watched.metrics[name].extend([metric.step], [metric.last])


@click.command("watch")
@click.argument("runs", nargs=-1, metavar="[RUN|tag:TAG|group:GROUP]...")
@click.option("-m", "--metric", "metrics", multiple=True, help="A metric to show; the first is drawn. May be repeated.")
@click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds between looks."
)
@click.option("-w", "--wait", is_flag=True, help="Go on when all have ended, and wait for runs that begin.")
@common.colour_option
def command(runs: tuple[str, ...], metrics: tuple[str, ...], interval: float, wait: bool, colour: str | None) -> int:
    """Follow runs while they are recorded, by default all of them.

    On a terminal their latest values and curves are kept up to date; to a pipe goes a line for each change. It ends
    when the runs have ended."""
    place = common.open_repo()
    chosen = common.read_runs(place, deleted=True).find_all(runs) if runs else None
    screen = common.screen(place, colour)
    world = World(place, chosen)
    world.look()
    if not world.runs and not wait:
        output.warn("nothing is being recorded; --wait waits for a run to begin")
        return 0
    show = Live(screen, metrics) if screen.terminal else Lines(screen, metrics)
    with contextlib.suppress(KeyboardInterrupt), _resizes() as resized:  # Ctrl-C is how one stops looking
        while True:
            show.update(world)
            if not world.running and not wait:
                return 0
            if _pause(resized, interval):
                show.resize()
            world.look()
    return 130


@contextlib.contextmanager
def _resizes() -> Iterator[int]:
    """Yields a descriptor that has something to read after the terminal's size changed."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    before = signal.signal(signal.SIGWINCH, lambda *_: None)  # which wakes through the descriptor
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGWINCH, before)
        os.close(reading)
        os.close(writing)


def _pause(resized: int, seconds: float) -> bool:
    """Waits; returns early, and true, if the terminal's size changed."""
    if not select.select([resized], [], [], seconds)[0]:
        return False
    return bool(os.read(resized, 4096))


# What is shown --------------------------------------------------------------------------------------------------------


def names_of(world: World, asked: Sequence[str]) -> list[str]:
    """Returns the metrics to show: those asked for, else those with a goal, then those that came first."""
    if asked:
        return list(asked)
    goals = {name for run in world.runs.values() for name in run.goals}
    found = {name: None for run in world.runs.values() for name in run.metrics if not name.startswith(SYSTEM)}
    return sorted(found, key=lambda name: name not in goals)[:METRICS]


class Lines:
    """A line for each run that changed, for a pipe or a log."""

    def __init__(self, screen: output.Screen, metrics: Sequence[str]) -> None:
        self.screen = screen
        self.metrics = metrics

    def update(self, world: World) -> None:
        """Prints what changed."""
        names = names_of(world, self.metrics)
        for run in world.runs.values():
            values = [(name, run.metrics[name]) for name in names if name in run.metrics]
            state = (run.status, run.step, *(series.count for _, series in values))
            if state == run.told:
                continue
            run.told = state
            words = [datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), printable(run.name), run.status]
            words += [f"step {run.step}"] if run.step is not None else []
            words += [output.span(run.seconds)] if run.seconds is not None else []
            words += [f"{printable(name)} {output.number(series.last)}" for name, series in values]
            self.screen.print("  ".join(words))
        self.screen.stream.flush()

    def resize(self) -> None:
        """Does nothing: lines have no width."""


class Live:
    """A table and a chart that are overwritten in place."""

    def __init__(self, screen: output.Screen, metrics: Sequence[str]) -> None:
        self.screen = screen
        self.metrics = metrics
        self.shown: list[str] = []

    def resize(self) -> None:
        """Begins anew at the top, for the terminal has wrapped what stood there."""
        self.screen.stream.write("\x1b[H\x1b[J")
        self.shown = []

    def update(self, world: World) -> None:
        """Draws what is known; of lines that are as they were, nothing is written."""
        columns, rows = output.terminal_size()
        lines = self.lines(world, columns - 1, rows - 1)
        parts = [f"\r\x1b[{len(self.shown)}A"] if self.shown else []
        for at, line in enumerate(lines):
            same = at < len(self.shown) and self.shown[at] == line
            parts.append("\n" if same else f"\x1b[K{line}\n")  # the other way, K takes the end of a full line
        parts.append("\x1b[J" if len(self.shown) > len(lines) else "")
        self.screen.stream.write("".join(parts))
        self.screen.stream.flush()
        self.shown = lines

    def lines(self, world: World, width: int, height: int) -> list[str]:
        """Returns the lines of the screen, no more and no wider than they may be."""
        names = names_of(world, self.metrics)
        watched = list(world.runs.values())
        room = max(1, height - 2)
        shown = [*world.running, *(run for run in reversed(watched) if run.follower is None)][:room]
        lines = self._table([run for run in watched if run in shown], names, width)
        if len(watched) > len(shown):
            lines.append(self.screen.paint(f"and {len(watched) - len(shown)} more", output.DIM))
        if not watched:
            lines = [self.screen.paint("waiting for a run to begin", output.DIM)]
        left = height - len(lines) - 1
        if names and left >= 8:
            lines += [
                "",
                *self._chart([run for run in watched if names[0] in run.metrics], names[0], width, min(left, 16)),
            ]
        return lines[:height]

    def _table(self, runs: Sequence[Watched], names: Sequence[str], width: int) -> list[str]:
        heads = ["NAME", "STATUS", "STEP", "TIME"]
        cells = [
            [printable(run.name), run.status, "" if run.step is None else str(run.step), output.span(run.seconds)]
            for run in runs
        ]
        right = {2, 3}
        for name in names:
            heads += [printable(name), ""]
            right.add(len(heads) - 2)
            for at, run in enumerate(runs):
                series = run.metrics.get(name)
                cells[at] += ["", ""] if series is None else [output.number(series.last), self._spark(series)]
        colours: dict[tuple[int, int], tuple[str, ...]] = {
            (at, 1): (output.STATUS_COLOURS.get(run.status, output.DIM),) for at, run in enumerate(runs)
        }
        return output.table(self.screen, heads, cells, right=right, colours=colours, widest=max(8, min(32, width // 3)))

    def _spark(self, series: Rolling) -> str:
        return bars.spark(series.curve()[1], SPARK, blocks=self.screen.braille) if series.count > 1 else ""

    def _chart(self, runs: Sequence[Watched], name: str, width: int, height: int) -> list[str]:
        """Returns the chart of one metric, with its legend if there are several curves."""
        glyphs = canvas.BRAILLE if self.screen.braille else canvas.ASCII
        chosen = [run for run in runs if run.metrics[name].count > 1][-CURVES:]
        drawn: list[curves.Curve | None] = []
        for run in chosen:
            steps, values = run.metrics[name].curve()
            curve = curves.drawable(curves.Curve(run.name, steps, values), log_x=False, log_y=False)[0]
            drawn.append(curve)
        if not drawn:
            return []
        several = len(drawn) > 1
        entries = [plot.Entry(at, printable(run.name)) for at, run in enumerate(chosen)]
        legend = plot.legend(entries, width=width, lines=2, marked=True, glyphs=glyphs) if several else []
        look = plot.Look(width, height - len(legend), glyphs=glyphs)
        return plot.painted([*plot.draw(printable(name), drawn, look), *legend], self.screen.paint)
