"""Runs to bytes and back: a module per chapter of docs/format.md, and nothing that touches the outside world."""
