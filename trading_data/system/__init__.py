"""The whole system on one machine: servers, Dagster's processes and a feed, started, watched and stopped together.

Belongs here: what `trading-data up` and `demo` run. Does not: the servers themselves (`trading_data.services`).
"""
