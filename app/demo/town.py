"""The demonstration's town: a network that runs, the people who work in it, and the patients who come."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.auth.sessions import Role
from app.demo.client import Client, sign_in
from app.demo.network import DemoNetwork, DemoNode
from app.demo.operations import add_practitioner, parties
from app.demo.people import Person, Registry
from app.demo.processes import Processes

CLINICIAN = "clinician"
AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Staff:
    """A clinician of an organisation; at the desk she enrols patients and publishes their records."""

    node: str
    user: str
    shown_as: str


HALE = Staff("mercy", "hale", "Dr M. Hale")
REED = Staff("riverside", "reed", "Dr A. Reed")
STONE = Staff("riverside", "stone", "Dr B. Stone")
ITO = Staff("northside", "ito", "T. Ito")
STAFF = (HALE, REED, STONE, ITO)
DESKS = {"mercy": HALE.user, "riverside": REED.user, "northside": ITO.user}


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who is signed in."""

    person: Person
    client: Client


@dataclass(slots=True)
class Town:
    """Everything that runs, and everybody who is signed in, by `node/user`."""

    network: DemoNetwork
    processes: Processes
    registry: Registry
    accounts: dict[str, Account] = field(default_factory=dict)
    _parties: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, node: str, user: str) -> Client:
        return self.accounts[f"{node}/{user}"].client

    def desk(self, node: str) -> Client:
        """Return the client of who enrols and publishes at a custodian."""
        return self.client(node, DESKS[node])

    def agent(self, user: str) -> Client:
        return self.client("agent", user)

    async def party(self, client: Client, node: DemoNode) -> str:
        """Return the id that a client's node gives to a member."""
        known = self._parties.setdefault(f"{client.port}/{client.token[:8]}", {})
        if node.title not in known:
            known |= await parties(client)
        return known[node.title]

    async def sign_in(self, people: Iterable[Person]) -> None:
        """Open a session for each."""
        for person in people:
            token = await sign_in(person.node.http_port, person.user, person.password)
            account = Account(person, Client(person.node.http_port, token))
            self.accounts[f"{person.node.key}/{person.user}"] = account


def settle_patients(
    network: DemoNetwork, registry: Registry, named: Sequence[tuple[str, str]]
) -> list[Person]:
    """Make patients and those who run and watch nodes, while nothing runs; return all who can sign in once it does."""
    people = registry.new_patients(network.member("agent"), named)
    for node in network.members:
        title = node.title
        here = [registry.person(node, "operator", f"operator of {title}", Role.OPERATOR)]
        if node.kind != "agent":
            office = f"privacy officer of {title}"
            here.append(registry.person(node, "privacy", office, Role.PRIVACY_OFFICER))
            here.append(registry.person(node, AUDITOR, f"auditor of {title}", Role.AUDITOR))
        registry.admit(here)
        people += here
    return people


async def open_town(
    network: DemoNetwork,
    processes: Processes,
    people: Sequence[Person],
    entropy: Callable[[int], bytes],
) -> Town:
    """Sign in who is there, let operators enter the staff, and sign the staff in. The nodes are ready."""
    town = Town(network, processes, Registry(entropy))
    await town.sign_in(people)
    for staff in STAFF:
        operator = town.client(staff.node, "operator")
        entered = await add_practitioner(operator, f"staff-{staff.user}", staff.shown_as, CLINICIAN)
        node = network.member(staff.node)
        person = town.registry.person(node, staff.user, staff.shown_as, Role.CLINICIAN, entered)
        town.registry.admit([person])
        await town.sign_in([person])
    return town
