"""The command line: `git track`.

Commands are loaded one at a time, because `git track ls` must feel like `git status`. Only this module prints
errors and chooses exit codes."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

from gittrack.errors import GittrackError
from gittrack.version import VERSION

# Each command is a module of gittrack.commands with a `command` in it, and stands in one group of the help.
GROUPS: dict[str, tuple[str, ...]] = {
    "set up": ("init", "doctor", "demo"),
    "record": ("run", "start", "add", "finish"),
    "look": ("status", "ls", "log", "show", "diff", "plot", "watch", "sql"),
    "curate": ("tag", "edit", "rm", "check"),
    "reproduce": ("checkout", "get"),
    "share": ("fetch", "pull", "push", "store", "import"),
    "maintain": ("gc", "archive", "fsck", "verify"),
}
# What git calls, not people; in no help.
HIDDEN = ("hook",)


class Commands(click.Group):
    """The group of all commands; knows their names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the names of all commands, in the order of the help."""
        return [name for names in GROUPS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads one command."""
        if cmd_name not in (*self.list_commands(ctx), *HIDDEN):
            return None
        module = "import_" if cmd_name == "import" else cmd_name  # a word of Python's is no module's name
        command: click.Command = import_module(f"gittrack.commands.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that is meant, or says which one is near."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in (*self.list_commands(ctx), *HIDDEN):
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"did you mean `git track {near[0]}`?" if near else "see `git track -h`"
            raise click.UsageError(f"'{name}' is not a git-track command\nhint: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands by group."""
        for title, names in GROUPS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                if command is not None:
                    rows.append((name, command.get_short_help_str(80)))
            with formatter.section(title.capitalize()):
                formatter.write_dl(rows)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="git-track %(version)s")
def cli() -> None:
    """Track experiments in git: a run is a commit under refs/runs/, shared by push and fetch.

    Record with `git track run -- CMD` or, in Python, `import gittrack`. Look with `git track ls`.
    `git track demo` shows all of it in a throw-away folder."""


def main() -> None:
    """Runs the command line and exits."""
    gc.disable()  # a command is short, and makes many small values and no cycles
    code = run(sys.argv[1:])
    if "gittrack.remote" in sys.modules:
        from gittrack import remote

        remote.forget()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)  # nothing is left to do, and to free every value of a long list takes longer than to exit


def run(arguments: list[str]) -> int:
    """Runs a command and returns its exit code; every error becomes lines on stderr."""
    _make_safe(sys.stdout)
    _make_safe(sys.stderr)
    try:
        answer = cli.main(arguments, prog_name="git track", complete_var="_GIT_TRACK_COMPLETE", standalone_mode=False)
        sys.stdout.flush()
    except GittrackError as exc:
        _print(exc.lines())
        _trace()
        return exc.exit_code
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return 2
    except click.UsageError as exc:
        said, _, near = exc.format_message().rstrip(".)").partition("Did you mean ")
        message, _, hint = said.rstrip(". (").partition("\nhint: ")
        hint = f"did you mean {near}" if near else hint
        where = exc.ctx.command_path if exc.ctx else " ".join(["git track", *arguments[:1]])
        _print([f"error: {message[:1].lower()}{message[1:]}", f"hint: {hint or f'see `{where} -h`'}"])
        return 2
    except click.ClickException as exc:
        _print([f"error: {exc.format_message()}"])
        return 2
    except (click.Abort, KeyboardInterrupt):
        _print(["error: interrupted"])
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as exc:
        named = f" '{exc.filename}'" if exc.filename else ""
        _print([f"error: cannot use{named or ' a file'}", f"cause: {exc.strerror or exc}"])
        _trace()
        return 128
    return answer if isinstance(answer, int) else 0


def _make_safe(stream: Any) -> None:
    """Makes a stream write what it cannot encode as escapes instead of failing."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _print(lines: list[str]) -> None:
    from gittrack.terminal import printable

    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.write("".join(printable(line) + "\n" for line in lines))
        sys.stderr.flush()


def _trace() -> None:
    if os.environ.get("GITTRACK_TRACE") == "1":
        import traceback

        traceback.print_exc()


if __name__ == "__main__":
    main()
