"""Tests of the state that trading systems keep in the live tier."""
