"""Writes the pages that the command line itself knows best: the man pages and the command reference.

They are committed, so that a wheel is built and a page is read without this script, and `--check` fails when
they no longer say what the commands say. For that each byte comes from the source: no date, no terminal width,
no installed version.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click_man.man import ManPage

from gittrack.cli import cli
from gittrack.version import VERSION

DOCS = Path(__file__).parent
MAN = DOCS / "man"
REFERENCE = DOCS / "reference" / "commands.md"
OVERVIEW = DOCS / "reference" / "git-track.roff"
WIDTH = 80

COMMANDS_TEMPLATE = """\
# Commands

<!-- Written by docs/generate.py from each command's --help. -->

`git track COMMAND --help` prints the same text.
"""


def main() -> int:
    """Writes the pages, or with `--check` says which ones are out of date."""
    parser = argparse.ArgumentParser(description="write the man pages and the command reference")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a page is out of date")
    only_check = parser.parse_args().check

    pages = generated_pages()
    stale = [path for path, text in pages.items() if not path.exists() or path.read_bytes() != text.encode()]
    gone = [path for path in MAN.glob("*.1") if path not in pages]
    if only_check:
        for path in [*stale, *gone]:
            print(f"error: '{path.relative_to(DOCS.parent)}' is out of date", file=sys.stderr)
        if stale or gone:
            print("hint: `python docs/generate.py` writes it again", file=sys.stderr)
        return 1 if stale or gone else 0

    MAN.mkdir(exist_ok=True)
    for path in stale:
        path.write_bytes(pages[path].encode())
    for path in gone:
        path.unlink()
    return 0


def generated_pages() -> dict[Path, str]:
    """Returns the text of every generated page by its path."""
    root = context(cli, "git track", parent=None)
    commands = list(walk(root))
    pages = {MAN / f"{page_name(ctx)}.1": man_page(ctx) for ctx in commands}
    pages[MAN / "git-track.1"] = overview(root)
    sections = [f"## {ctx.command_path}\n\n```text\n{ctx.get_help().rstrip()}\n```\n" for ctx in [root, *commands]]
    pages[REFERENCE] = "\n".join([COMMANDS_TEMPLATE, *sections])
    return pages


def context(command: click.Command, name: str, *, parent: click.Context | None) -> click.Context:
    """Returns the context in which the command describes itself, at a fixed width."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def walk(group_ctx: click.Context) -> Iterator[click.Context]:
    """Yields the contexts of all commands below a group that are not hidden, in its order."""
    group = group_ctx.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(group_ctx):
        command = group.get_command(group_ctx, name)
        if command is None:
            raise SystemExit(f"error: '{group_ctx.command_path}' lists '{name}' but does not have it")
        if not command.hidden:
            ctx = context(command, name, parent=group_ctx)
            yield ctx
            yield from walk(ctx)


def page_name(ctx: click.Context) -> str:
    """Returns the name that man knows a command by."""
    return ctx.command_path.replace(" ", "-")


def man_page(ctx: click.Context) -> str:
    """Returns the page of one command."""
    name = page_name(ctx)
    page = ManPage(name)
    page.version = f"gittrack {VERSION}"
    page.date = ""
    page.short_help = escaped(short_help(ctx))
    page.synopsis = " ".join(ctx.command.collect_usage_pieces(ctx))
    page.description = roff(inspect.cleandoc(ctx.command.help or ""))
    page.options = options(ctx)
    page.commands = [(sub.info_name, escaped(short_help(sub))) for sub in walk(ctx) if sub.parent is ctx]
    parent = page_name(ctx.parent) if ctx.parent else name
    see_also = f".SH SEE ALSO\n.BR {escaped(parent)} (1)\n"
    # A page is found as git-track-ls and the command is typed as `git track ls`.
    return str(page).replace(f".B {name}\n", f".B {escaped(ctx.command_path)}\n") + see_also


def overview(root: click.Context) -> str:
    r"""Returns git-track(1): written by hand, with the lines that start with `@` filled in.

    `@options` stands for the options of `git track` itself, and `@NAME` for a command's entry.
    """
    commands = {page_name(ctx).removeprefix("git-track-"): ctx for ctx in walk(root) if ctx.parent is root}
    lines = [f'.TH "GIT-TRACK" "1" "" "gittrack {VERSION}" "git-track Manual"']
    named = set()
    for line in OVERVIEW.read_text(encoding="utf-8").splitlines():
        if line == "@options":
            lines += [f".TP\n\\fB{escaped(option)}\\fP\n{text}" for option, text in options(root)]
        elif line.startswith("@"):
            name = line.removeprefix("@")
            if name not in commands:
                raise SystemExit(f"error: '{OVERVIEW.name}' names '{name}', which is no command")
            named.add(name)
            lines.append(f".TP\n.BR git\\-track\\-{escaped(name)} (1)\n{escaped(short_help(commands[name]))}")
        else:
            lines.append(line)
    if missing := sorted(commands.keys() - named):
        raise SystemExit(f"error: '{OVERVIEW.name}' does not name {', '.join(missing)}")
    return "\n".join(lines) + "\n"


def options(ctx: click.Context) -> list[tuple[str, str]]:
    """Returns the options that help shows, each with its text as roff."""
    records = [
        param.get_help_record(ctx)
        for param in ctx.command.get_params(ctx)
        if isinstance(param, click.Option) and not param.hidden
    ]
    return [(record[0], roff(record[1])) for record in records if record]


def short_help(ctx: click.Context) -> str:
    """Returns the one line that says what a command does, without a full stop, as `man -f` shows it."""
    return ctx.command.get_short_help_str(limit=200).rstrip(".")


def roff(text: str) -> str:
    r"""Returns help text as roff: paragraphs, and as they are the blocks that click marks with `\b`."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.partition("\f")[0].strip("\n")):
        if block.lstrip().startswith("\b"):
            verbatim = block.lstrip().removeprefix("\b").strip("\n")
            blocks.append(f".nf\n{escaped(verbatim)}\n.fi")
        else:
            prose = escaped(" ".join(block.split()))
            blocks.append(re.sub(r"`([^`]+)`", r"\\fB\1\\fP", prose))
    return "\n.PP\n".join(blocks)


def escaped(text: str) -> str:
    """Returns text in which roff finds no command and no typographic dash."""
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^(?=[.'])", r"\\&", plain, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
