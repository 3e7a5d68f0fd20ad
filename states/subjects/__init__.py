"""The subjects of the ledger: one module each, with its state, commands, sealed components and clauses."""
