"""Tests of the commands, one module each, through the real `git track`."""
