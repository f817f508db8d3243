"""What becomes of rows as they grow old: compressed, then dropped by retention, each chunk in a transaction of its own.

Belongs here: which chunk is due and what must be proven first (`compression`, `retention`, `facts`), the cold files of
dropped chunks (`cold`), and other things that have had their time (`leftovers`). Does not: single chunks
(`archive.chunks`), and when it is done (`orchestration`).
"""
