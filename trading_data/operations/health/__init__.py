"""How well both tiers are: figures measured, judged by declared thresholds, and what helps.

Belongs here: measuring, thresholds, findings. Does not: telling people (`alerts`), Dagster (`orchestration`), backups (`backup`).
"""
