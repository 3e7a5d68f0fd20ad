"""Writes the journals of the catalogue's flows: `python -m tests.vectors.journals.real.generate [TAG ...]`.

Without arguments: those of flows that have none yet. A tag, "grant-consent/1", is written again, which is right only as
long as no release has it: a released file stands for flows that are in flight when a node is upgraded.
"""

import sys
from collections.abc import Iterable

import msgspec

from app.subjects.catalogue import registry
from tests.simulation.golden_journals import GoldenJournal, file_of, golden, tags
from tests.simulation.whole_story import WholeStory


def journals() -> dict[str, list[GoldenJournal]]:
    """Tell the story, and return of each tag one journal of every way in which it went."""
    story, known = WholeStory(), registry()
    story.tell()
    found: dict[str, dict[tuple[int, ...], GoldenJournal]] = {}
    for me, row, rows in story.ended():
        way = (row.status, *(each.kind for each in rows))
        ways = found.setdefault(row.tag, {})
        if rows and way not in ways:
            ways[way] = golden(me, row, rows, known)
    return {tag: list(ways.values()) for tag, ways in found.items()}


def write(again: Iterable[str]) -> list[str]:
    """Write the files that are missing and those of the tags in `again`; return their tags."""
    told = journals()
    due = {tag for tag in tags(registry()) if not file_of(tag).exists()} | set(again)
    untold = sorted(due - told.keys())
    if untold:
        raise SystemExit(f"the whole story does not tell of {', '.join(untold)}")
    for tag in sorted(due):
        text = msgspec.json.format(msgspec.json.encode(told[tag]), indent=1)
        file_of(tag).write_bytes(text + b"\n")
    return sorted(due)


if __name__ == "__main__":
    sys.stdout.writelines(f"{tag}\n" for tag in write(sys.argv[1:]))
