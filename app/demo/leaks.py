"""After the demonstration: which text may be in whose folder, and whether it is anywhere else.

names of patients, sentences of their records    nowhere: custodians hold ciphertext and wrapped keys
whole records, and hashes of them                nowhere
a custodian's own number of a patient            that custodian
a patient's handle                               the patients' agent
the name of the clinician who was let in         her own node, the custodian that let her, the agent
Ada's clinical codes                             the custodian, the agent, and who was let in; never the notary
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.demo.loading import Chart
from app.demo.network import FOUNDER, DemoNetwork
from app.demo.people import Person
from app.demo.scan import Canary, Scanner, Sighting
from app.demo.story import Finding
from app.demo.town import REED
from app.samples import SAMPLE_PATIENTS

LOGS, PROOFS = "logs", "proofs"
COMMON_CODE = "4548-4"
SIGHTINGS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Placed:
    """A canary, and the folders in which it may be."""

    canary: Canary
    at: frozenset[str]


def placed_canaries(charts: Iterable[Chart], patients: Iterable[Person]) -> list[Placed]:
    """Return what is looked for, and where each may be."""
    nowhere = frozenset[str]()
    found = [
        Placed(Canary(f"{kind} of {patient.given}", text.encode()), nowhere)
        for patient in SAMPLE_PATIENTS
        for kind, text in zip(("name", "sentence", "note"), patient.canaries, strict=True)
    ]
    for chart in charts:
        number = Canary(f"number of {chart.given} at {chart.custodian}", chart.local_name.encode())
        found.append(Placed(number, frozenset({chart.custodian})))
    found += [
        Placed(
            Canary(f"handle of {each.shown_as}", (each.person or "").encode()), frozenset({"agent"})
        )
        for each in patients
    ]
    found += [
        Placed(
            Canary(f"raw handle of {each.shown_as}", bytes.fromhex(each.person or "")),
            frozenset({"agent"}),
        )
        for each in patients
    ]
    reed = frozenset({"mercy", "riverside", "agent", PROOFS})
    found.append(Placed(Canary("name of the clinician", REED.shown_as.encode()), reed))
    everybody = frozenset({"mercy", "riverside", "northside", "agent", PROOFS})
    found.append(Placed(Canary("a clinical code", COMMON_CODE.encode()), everybody))
    return found


def documents_of(charts: Iterable[Chart], most: int) -> list[Placed]:
    """Return whole records as canaries: their bytes, and above all their hashes, may be nowhere."""
    documents = [(chart, each) for chart in charts for each in chart.documents]
    return [
        Placed(Canary(f"a {each.kind} of {chart.given}", each.data, whole=True), frozenset())
        for chart, each in documents[:most]
    ]


def leaks(network: DemoNetwork, placed: Iterable[Placed]) -> list[Finding]:
    """Scan the folders of all nodes, running or not, their logs, the founder's keys and the proofs that were made."""
    wanted = list(placed)
    scanner = Scanner(each.canary for each in wanted)
    allowed = {each.canary.name: each.at for each in wanted}
    findings: list[Finding] = []
    seen = set[str]()
    for key in (*(node.key for node in network.nodes), FOUNDER, LOGS, PROOFS):
        sightings = scanner.scan(network.root / key)
        seen |= {each.canary for each in sightings}
        strays = [each for each in sightings if key not in allowed[each.canary]]
        findings.append(
            Finding(
                f"{key}: nothing of a patient that does not belong there",
                "nothing",
                _told(strays, network.root) or "nothing",
                not strays,
            )
        )
    # A scanner that sees nothing proves nothing: what custodians must know of a patient is there to be found.
    numbers = {
        name for name, at in allowed.items() if at and name.startswith(("number", "name of"))
    }
    missed = sorted(numbers - seen)
    findings.append(
        Finding("and what belongs there is found", "each", ", ".join(missed) or "each", not missed)
    )
    return findings


def _told(strays: list[Sighting], root: Path) -> str:
    return "; ".join(
        f"{each.canary} ({each.form}) in {each.file.relative_to(root)} at {each.offset}"
        for each in strays[:SIGHTINGS_SHOWN]
    )
