"""Writes the journals of this release's test flows: `python -m tests.vectors.journals.generate RELEASE`.

A released file is never written again: it stands for flows that are in flight when a node is upgraded.
"""

import json
import sys
from pathlib import Path

from flows.store import JournalRow
from states.notarisation import Committed
from tests.unit.flows.conversations import Approve, Chat, Nap, Patience
from tests.unit.flows.nodes import NOON, pair

HERE = Path(__file__).parent


def journals() -> list[dict[str, object]]:
    """Run flows of every kind of answer, and return the longest journal that each had."""
    mercy, riverside, wires = pair()
    flows = {
        "chat": mercy.engine.start(Chat(riverside.party, 3)),
        "nap": mercy.engine.start(Nap(NOON + 1_000)),
        "patience": mercy.engine.start(Patience(riverside.party, NOON + 1_000)),
        "approve": mercy.engine.start(Approve(NOON + 99_000)),
    }
    mercy.engine.raise_event(flows["approve"], "approved", "Ada", b"yes")
    wires.notary = lambda _question: Committed("receipt")
    longest: dict[str, list[JournalRow]] = {}
    for now in (NOON, NOON + 1_000):
        mercy.clock.now = now
        for _ in range(20):
            for node in (mercy, riverside):
                wires.step(node)
            wires.carry()
            for name, flow in flows.items():
                rows = mercy.engine.store.journal(flow)
                longest[name] = max(longest.get(name, []), rows, key=len)
    waits = {"chat": "receive", "nap": "sleep", "patience": "sleep", "approve": "event"}
    return [
        {
            "name": name,
            "flow": flow.hex(),
            "tag": row.tag,
            "arguments": row.args.hex(),
            "peer": "",
            "session": "",
            "entries": [
                {"kind": entry.kind, "hash": entry.hash.hex(), "value": entry.value.hex()}
                for entry in longest[name]
            ],
            "waits_at": waits[name],
        }
        for name, flow in flows.items()
        if (row := mercy.engine.flow(flow)) is not None
    ]


if __name__ == "__main__":
    target = HERE / f"{sys.argv[1]}.json"
    target.write_text(json.dumps(journals(), indent=1) + "\n", "utf-8")
