"""A folder of another machine as a store, over SSH."""
