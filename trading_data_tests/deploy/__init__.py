"""Tests of the files in `deploy/`, `docker-compose.yml` and `Dockerfile`."""
