"""Tests of the codec, one module a chapter: properties over everything a run may hold, and hostile bytes."""
