"""Health of both tiers: measured figures, judged by declared thresholds, each with the command that helps.

Belongs here: measuring, thresholds, findings. Does not: notifying people (`alerts`), Dagster (`orchestration`), backups (`backup`).
"""
