"""Where payloads are kept besides this clone: a module or folder per kind of store (docs/format.md, chapter 16)."""
