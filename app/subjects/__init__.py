"""The node's side of each subject: what is checked, kept and built beside the ledger."""
