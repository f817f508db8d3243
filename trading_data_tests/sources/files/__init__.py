"""Tests of files as a source of rows."""
