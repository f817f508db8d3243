"""Compression, retention and what is left over."""
