"""One page that says what is wrong, in order of harm, with the command for each.

Belongs here: gathering, whichever server is away. Does not: measuring (`health`), what Dagster knows
(`orchestration.run_findings`), telling (`alerts`), and printing (`cli.doctor`).
"""
