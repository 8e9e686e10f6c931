"""A machine without git: libgit2 and dulwich in place of the executable, loaded only there."""
