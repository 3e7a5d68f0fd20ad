"""A second implementation of the ledger, from states/README.md alone, with the standard library."""
