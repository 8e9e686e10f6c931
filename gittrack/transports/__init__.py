"""Where payloads are kept besides this clone: a module per kind of place (docs/format.md, chapter 16)."""
