"""The hooks, run by the shells and the gits that run them."""
