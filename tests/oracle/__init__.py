"""Slow and obvious second answers, written from the texts and not from the code."""
