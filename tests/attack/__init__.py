"""Attacks that were tried, kept as tests that pass while the defence holds."""
