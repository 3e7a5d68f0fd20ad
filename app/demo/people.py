"""The people of the demonstration: who they are at which node, and their passwords."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.auth.passwords import Argon2Cost, Passwords
from app.auth.sessions import Role
from app.auth.users import User
from app.auth.users_file import USERS_FILE, load_users, save_users
from app.config import usual_folders
from app.demo.network import DEMO_PASSPHRASE, DemoNode
from app.keystore.file import open_key_store
from app.network.bootstrap import KEY_FILE

HANDLE_BYTES = 16
PASSWORD_BYTES = 10
COST = Argon2Cost(memory_kib=8_192, iterations=1, lanes=1)  # its passwords are 80 random bits


@dataclass(frozen=True, slots=True)
class Person:
    """A user of one node. `person` is a patient's handle at the agent, or a clinician's staff id (hex)."""

    user: str
    shown_as: str
    node: DemoNode
    role: Role
    password: str = field(repr=False)
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """Makes users in the folders of nodes, as `carecord users add` does."""

    entropy: Callable[[int], bytes]

    def person(
        self, node: DemoNode, user: str, shown_as: str, role: Role, person: str | None = None
    ) -> Person:
        password = base64.b32encode(self.entropy(PASSWORD_BYTES)).decode().lower()
        return Person(user, shown_as, node, role, password, person)

    def admit(self, people: Sequence[Person]) -> None:
        """Let people sign in; all of them are users of one node, which may run."""
        folder = usual_folders(people[0].node.folder).data
        folder.mkdir(mode=0o700, exist_ok=True)
        passwords = Passwords(self.entropy, COST)
        path = folder / USERS_FILE
        users = [
            User(each.user, passwords.hash(each.password), each.role, each.node.party, each.person)
            for each in people
        ]
        save_users(path, [*load_users(path), *users])

    def new_patients(self, agent: DemoNode, named: Sequence[tuple[str, str]]) -> list[Person]:
        """Draw handles and seeds for patients (user id, name) at the agent, which does not run; let them sign in."""
        path = usual_folders(agent.folder).keys / KEY_FILE
        keys = open_key_store(path, DEMO_PASSPHRASE, self.entropy)
        people = []
        for user, shown_as in named:
            handle = self.entropy(HANDLE_BYTES)
            keys.add_patient(handle)
            people.append(self.person(agent, user, shown_as, Role.PATIENT, handle.hex()))
        self.admit(people)
        return people
