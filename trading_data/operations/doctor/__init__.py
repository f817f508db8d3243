"""One page with all that is wrong, in order of priority, each with the command that helps.

Belongs here: gathering, whichever server is away. Does not: measuring (`health`), what Dagster knows
(`orchestration.run_findings`), telling (`alerts`), and printing (`cli.doctor`).
"""
