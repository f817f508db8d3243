"""Tests of who may do what, of secrets, and of names that wish us ill."""
