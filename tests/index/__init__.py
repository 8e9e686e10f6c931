"""The index of runs: right whatever happens to refs and to its file."""
