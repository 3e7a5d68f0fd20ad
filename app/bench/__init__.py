"""Benchmarks of the hot paths: every figure beside the machine's primitives of the same minute."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run `carecord bench` with these arguments (else the process's own); return its exit code."""
    # Here, so that a process of a benchmark's network imports only what a node does.
    from app.bench.run import run  # noqa: PLC0415

    return run(args)
