"""The schema of the archive: migrations, roles, and drift between declarations and database."""
