"""The schema of the archive: migrations, roles, and drift between what is declared and what is there."""
