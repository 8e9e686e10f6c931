"""`python -m gittrack`, for where the command is not on PATH."""

from gittrack.cli import main

main()
