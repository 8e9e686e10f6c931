"""One suite for every door to a repository."""
