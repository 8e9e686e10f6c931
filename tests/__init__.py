"""Tests, written against real git in a sealed home."""
