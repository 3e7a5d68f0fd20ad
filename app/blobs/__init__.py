"""Documents outside the ledger: encrypted, named by their CID, stored where a node likes."""
