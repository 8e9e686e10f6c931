"""A Git LFS server as a store, over HTTP."""
