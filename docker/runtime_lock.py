# ruff: noqa: INP001 - a script of its own, in no package
"""Prints the part of requirements.lock that a running node needs: what pyproject.toml names, and what that needs.

    python runtime_lock.py pyproject.toml requirements.lock > runtime.lock
    python runtime_lock.py pyproject.toml requirements.lock setuptools > build.lock

The lock has all packages of development besides; who needs what stands in its "via" lines.
"""

import re
import sys
import tomllib
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def canonical(name: str) -> str:
    """Return a package's name as all spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks_of(lock: str) -> dict[str, str]:
    """Return each package's lines, hashes and comments included."""
    blocks: dict[str, list[str]] = {}
    name = ""
    for line in lock.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            name = canonical(_NAME.match(line)[0])  # type: ignore[index]  # a line of the lock
            blocks[name] = []
        if name:
            blocks[name].append(line)
    return {name: "\n".join(lines) for name, lines in blocks.items()}


def needed_by(block: str) -> set[str]:
    """Return who needs a package, by its "via" lines."""
    comments = (line.strip() for line in block.splitlines())
    named = (line.lstrip("# ").removeprefix("via").strip() for line in comments if line[:1] == "#")
    return {canonical(name.split()[0].split("[")[0]) for name in named if name}


def part_of(project: str, lock: str, only: tuple[str, ...] = ()) -> str:
    """Return the part of a lock, or of it `only` these packages and what they need.

    Raises KeyError for a dependency that the lock has not got.
    """
    declared = only or tomllib.loads(project)["project"]["dependencies"]
    blocks = blocks_of(lock)
    wanted = {canonical(_NAME.match(each)[0]) for each in declared}  # type: ignore[index]  # as above
    while more := {n for n, b in blocks.items() if n not in wanted and needed_by(b) & wanted}:
        wanted |= more
    return "\n".join(blocks[name] for name in sorted(wanted)) + "\n"


if __name__ == "__main__":
    texts = [Path(each).read_text("utf-8") for each in sys.argv[1:3]]
    sys.stdout.write(part_of(texts[0], texts[1], tuple(sys.argv[3:])))
