"""Chunks by age: compressed, then dropped by retention, each in a transaction of its own.

Belongs here: which chunk is due and what must be proven first (`compression`, `retention`, `preconditions`), the cold files of
dropped chunks (`cold_storage`), and files that are no longer needed (`cleanup`). Does not: single chunks
(`archive.chunks`), and when it is done (`orchestration`).
"""
