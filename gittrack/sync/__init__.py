"""Runs between clones: what a remote has comes in, what it lacks goes out, and nothing is lost where both changed."""
