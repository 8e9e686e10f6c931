"""Every kind of repository that a script may be started in."""
