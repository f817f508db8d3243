"""Rejected entries: kept complete with the reason, listed, retried, or discarded."""
