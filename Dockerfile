# One image for Dagster's processes, the archiver and the command line. Nothing in it runs as root.
# To pin by digest as well, build with --build-arg PYTHON=python:3.12.14-slim-bookworm@sha256:… (POSTGRES and REDIS likewise).
ARG PYTHON=python:3.12.14-slim-bookworm
ARG POSTGRES=postgres:18.6-bookworm
ARG REDIS=redis:7.4.11-bookworm

FROM ${POSTGRES} AS postgres
RUN mkdir /client && cp /usr/lib/postgresql/18/bin/pg_dump /usr/lib/postgresql/18/bin/pg_restore \
    /usr/lib/postgresql/18/bin/psql /client/ && cp -L /usr/lib/*-linux-gnu/libpq.so.5 /client/

FROM ${REDIS} AS redis

FROM ${PYTHON} AS build
WORKDIR /app
COPY requirements/image.txt requirements/image.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md ./
COPY sql sql
COPY trading_data trading_data
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON}
# hadolint ignore=DL3008 - what Debian has for the pinned base
# Libraries of the PostgreSQL 18 programs; Debian's libpq is older, so theirs is copied below.
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 liblz4-1 libzstd1 libreadline8 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 trading \
    && install -d -m 700 -o trading -g trading /data /backups /app /app/storage
COPY --from=postgres /client/libpq.so.5 /usr/local/lib/
COPY --from=postgres /client/pg_dump /client/pg_restore /client/psql /usr/local/bin/
# A backup of the live tier is checked in a scratch server, which must be able to read production's file.
COPY --from=redis /usr/local/bin/redis-server /usr/local/bin/
COPY --from=build /venv /venv
RUN ldconfig && pg_dump --version && pg_restore --version && psql --version && redis-server --version
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DAGSTER_DISABLE_TELEMETRY=1 DAGSTER_HOME=/app TRADING_DATA_HOME=/data \
    TRADING_DATA_PG_BIN=/usr/local/bin
WORKDIR /app
COPY --chown=trading:trading trading_data/dagster.yaml workspace.yaml ./
COPY --chown=trading:trading deploy deploy
USER 10001:10001
# Dagster reads its URL from the environment only: this sets it from the secret's file, then runs the command.
ENTRYPOINT ["python", "-m", "trading_data.local.entrypoint"]
CMD ["trading-data", "--help"]
