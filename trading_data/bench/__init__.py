"""`trading-data bench`: every promise about speed, as a ratio against a reference measured in the same minutes on the same rows.

Belongs here: benches and what they share. Does not: tests (`trading_data_tests.bench`), and anything that production runs.
"""
