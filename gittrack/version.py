"""The version, where it can be read without loading anything else."""

VERSION = "0.1.0.dev0"
