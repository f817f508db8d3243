"""The figures of `trading_data.operations.health` for Prometheus, measured on request.

Belongs here: names, help texts, the collector and its HTTP server. Does not: measuring.
"""
