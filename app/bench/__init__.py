"""Benchmarks of the hot paths: every figure beside the machine's primitives of the same minute."""

from app.bench.run import main

__all__ = ["main"]
