"""The embedded servers: what `trading-data up`, `demo` and the tests start where no URL points at a server.

Belongs here: starting, watching and stopping them, and what a program needs to find them (`stack.Stack`).
Does not: anything that talks to a server for the sake of data; no other module knows whether a server is embedded.
Importing this imports none of the packages of the `embedded` extra.
"""
