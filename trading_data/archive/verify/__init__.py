"""Audits: the ledger adds up, the tables agree with it, and no journal entry is lost."""
