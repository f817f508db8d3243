"""The crash matrix: processes and servers killed at every step, and the accounts afterwards."""
