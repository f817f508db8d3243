"""Small worlds, explored completely: every sequence of steps up to a depth, decided by the project's own pure functions.

`python -m trading_data_tests.worlds.explore --minutes 10` goes further than the tests.
"""
