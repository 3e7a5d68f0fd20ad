"""What is true: values and rules of the ledger; no IO, no clock, no randomness."""
