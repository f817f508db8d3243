"""Backups: taken, damaged, refused, restored."""
