"""Tests of the vendors, against local servers that speak their protocol."""
