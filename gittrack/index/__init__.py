"""The index of all runs: made from refs and commit messages, never the authority, and may be deleted at any time."""
