"""Nothing that is secret reaches an object."""
