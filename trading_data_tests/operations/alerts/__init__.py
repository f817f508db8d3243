"""Alerts: what is due, in which words, by which way, and the sensor that tells."""
