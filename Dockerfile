# One image for the code location, the web server, the daemon and the command line.
FROM python:3.12-slim
WORKDIR /app
COPY requirements/runtime.txt requirements/runtime.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && useradd --create-home --uid 10001 trading && mkdir /data && chown trading /data /app
USER trading
