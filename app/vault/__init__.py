"""What a node holds of the ledger: transactions, states, holders, and what subjects make of them."""
