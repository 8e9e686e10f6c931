"""Tests of stores, each kind through the same suite."""
