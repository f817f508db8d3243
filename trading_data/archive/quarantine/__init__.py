"""Entries that were refused: kept whole with the reason, listed, sent through the same door again, or discarded."""
