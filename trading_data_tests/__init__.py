"""Tests, against real servers: the embedded ones, or those that the `TRADING_DATA_*_URL` variables name."""
