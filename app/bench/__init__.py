"""Benchmarks of the hot paths: every figure beside the machine's primitives of the same minute."""

NAMES = ("notary", "flows", "finality", "publication", "grants", "resting", "document")
"""What can be measured, in the order in which it is; here, so that a command can name them and load none."""
