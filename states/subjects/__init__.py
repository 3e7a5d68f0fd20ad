"""The subjects of the ledger: one family of states, commands and clauses a module."""
