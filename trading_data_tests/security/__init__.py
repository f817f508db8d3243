"""Tests of privileges, secrets, TLS and hostile names."""
