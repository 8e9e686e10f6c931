"""A machine without git: libgit2 in place of the executable, loaded only there."""
