"""The commands of `git track`, one module each; a new one is a file here and a word in `cli.GROUPS`."""
