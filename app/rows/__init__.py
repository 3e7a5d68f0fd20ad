"""Rows that subjects keep beside the ledger: read by flows, gate, reading log and screens alike."""
