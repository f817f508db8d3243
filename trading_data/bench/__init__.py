"""`trading-data bench`: every performance target, as a ratio to a reference measured in the same minutes on the same rows.

Belongs here: benches and what they share. Does not: their tests (`trading_data_tests.bench`), and anything used in production.
"""
