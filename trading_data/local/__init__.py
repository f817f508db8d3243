"""The embedded servers and Dagster's processes, which `trading-data up`, `demo` and the tests start where no URL is set.

Belongs here: starting, watching and stopping them, and the addresses by which programs find them (`servers.Stack`).
Does not: reading or writing data; no other package knows whether a server is embedded.
Importing this package imports nothing from the `embedded` extra.
"""
