"""The figures of `trading_data.operations.health` for Prometheus, measured when they are asked for.

Belongs here: names, help texts, the collector and its HTTP server. Does not: measuring.
"""
