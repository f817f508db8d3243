"""Proofs: the ledger adds up, tables hold what it says, and no entry is nowhere."""
