"""Tests of the feeds; `servers` has the real server that they share."""
