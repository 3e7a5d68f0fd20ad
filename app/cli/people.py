"""`carecord users` and `carecord practitioners`: who may sign in at a node, and who works there."""

import os
import unicodedata
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.auth.passwords import Passwords, PasswordTooLong, PasswordTooShort
from app.auth.sessions import Role
from app.auth.users import User
from app.auth.users_file import USERS_FILE, load_users, save_users
from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, say, show_json, show_table
from app.cli.places import Folder, keys_in, load, owned, party_in, passphrase_of, unlocked
from app.config import NodeConfig
from app.names import name_flaw
from states.subjects.codes import ROLES

PASSWORD = "CARECORD_PASSWORD"  # noqa: S105 - the name of the variable
PERSON_BYTES = 16

users = typer.Typer(help="Who may sign in at a node.", no_args_is_help=True)
practitioners = typer.Typer(help="Who works at an organisation.", no_args_is_help=True)

patients = typer.Typer(help="Patients of an agent.", no_args_is_help=True)

UserId = Annotated[str, typer.Argument(help="The name to sign in with.", show_default=False)]


class RoleName(StrEnum):
    """Roles as they are written on a command line."""

    PATIENT = "patient"
    CLINICIAN = "clinician"
    PRIVACY_OFFICER = "privacy-officer"
    OPERATOR = "operator"
    AUDITOR = "auditor"

    @property
    def role(self) -> Role:
        return Role(self.value.replace("-", " "))


class ShownUser(msgspec.Struct, frozen=True):
    """A user without the hash of the password."""

    user: str
    role: str
    person: str | None


class AddedPractitioner(msgspec.Struct, frozen=True):
    """The id by which consents name this person."""

    person: str
    name: str
    role: str


class AddedPatient(msgspec.Struct, frozen=True):
    """The agent's own name of a patient; it never leaves the agent."""

    handle: str


@users.command("add")
def add_user(
    folder: Folder,
    user: UserId,
    role: Annotated[RoleName, typer.Option(help="What the user may be to this node.")],
    person: Annotated[
        str | None,
        typer.Option(
            help="Of a clinician, the id that practitioners add printed; of a patient, her handle."
        ),
    ] = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give an existing user these values.")
    ] = False,
) -> None:
    """Add a user. The password comes from CARECORD_PASSWORD, its _FILE, or is asked for; it is kept as Argon2id."""
    config = unlocked(folder)
    if role in {RoleName.CLINICIAN, RoleName.PATIENT} and not person:
        raise CommandFailed(Exit.USAGE, f"a {role.value} needs --person")
    if role is RoleName.PATIENT and config.kind != "agent":
        raise CommandFailed(Exit.USAGE, f"it is a {config.kind}: patients sign in at an agent")
    named = None if person is None else _person(person).hex()
    path = _file(config)
    known = _users(path)
    name = unicodedata.normalize("NFC", user)
    if flaw := name_flaw(name):
        raise CommandFailed(Exit.USAGE, f"no name to sign in with: {flaw}")
    others = [each for each in known if each.user_id != name]
    if len(others) != len(known) and not replace:
        raise CommandFailed(Exit.USAGE, f"there is a user {name}; --replace gives other values")
    try:
        password_hash = Passwords(os.urandom).hash(passphrase_of(PASSWORD, f"user {name}"))
        added = User(name, password_hash, role.role, party_in(config), named)
    except (PasswordTooShort, PasswordTooLong) as refused:
        raise CommandFailed(Exit.USAGE, f"the password is refused: {refused}") from refused
    except ValueError as refused:
        raise CommandFailed(Exit.USAGE, f"refused: {refused}") from refused
    save_users(path, [*others, added])
    say(f"{name} may sign in as {role.value}")


@users.command("list")
def list_users(folder: Folder, *, as_json: AsJson = False) -> None:
    """List the users of a node."""
    config = unlocked(folder)
    found = [ShownUser(u.user_id, u.role.value, u.person_id) for u in _users(_file(config))]
    if as_json:
        show_json(found)
        return
    rows = [("user", "role", "person"), *((u.user, u.role, u.person or "") for u in found)]
    show_table("Users", rows, wraps=False)


@users.command("remove")
def remove_user(folder: Folder, user: UserId) -> None:
    """Remove a user; open sessions end with the next request."""
    path = _file(unlocked(folder))
    known = _users(path)
    name = unicodedata.normalize("NFC", user)
    left = [each for each in known if each.user_id != name]
    if len(left) == len(known):
        raise CommandFailed(Exit.USAGE, f"there is no user {name}")
    save_users(path, left)
    say(f"{name} may not sign in any more")


@practitioners.command("add")
def add_practitioner(
    folder: Folder,
    name: Annotated[str, typer.Option(help="As the organisation names the person to others.")],
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "clinician",
    person: Annotated[
        str | None, typer.Option(help="32 hex digits; drawn where none are given.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Enter somebody in the staff directory, or change the entry of --person. The node may run meanwhile."""
    config = load(folder)
    if flaw := name_flaw(name):
        raise CommandFailed(Exit.USAGE, f"--name is no name: {flaw}")
    if role not in ROLES:
        raise CommandFailed(Exit.USAGE, f"--role is one of: {', '.join(ROLES)}")
    drawn = os.urandom(PERSON_BYTES) if person is None else _person(person)
    _enter(config, drawn, name, role)
    added = AddedPractitioner(drawn.hex(), name, role)
    if as_json:
        show_json(added)
    else:
        say(f"{name}, {role}: {added.person}")


@patients.command("add")
def add_patient(folder: Folder, *, as_json: AsJson = False) -> None:
    """Draw a patient's handle and seed at her agent, while the node is stopped; then: users add --person HANDLE."""
    config = load(folder)
    if config.kind != "agent":
        raise CommandFailed(Exit.USAGE, f"it is a {config.kind}: patients have keys at an agent")
    handle = os.urandom(PERSON_BYTES)
    with owned(config):
        keys_in(config).add_patient(handle)
    added = AddedPatient(handle.hex())
    if as_json:
        show_json(added)
    else:
        say(added.handle)


def _enter(config: NodeConfig, person: bytes, name: str, role: str) -> None:
    # Here, so that commands which need no database do not pay for one.
    from app.node_folder import DATABASE  # noqa: PLC0415
    from app.storage.database import open_database, transaction  # noqa: PLC0415
    from app.subjects.enrolment import Enrolments  # noqa: PLC0415
    from flows.subjects.enrolment import Practitioner  # noqa: PLC0415
    from states.encoding import Codec, encode  # noqa: PLC0415

    entry = Practitioner(person, name, role)
    Codec(Practitioner, "practitioner").decode(encode(entry))
    staff = Enrolments(party_in(config), keys_in(config), os.urandom)
    db = open_database(config.folders.data / DATABASE, cache_kib=1_024)
    try:
        with transaction(db):
            staff.create(db)
            staff.add_practitioner(db, entry)
    finally:
        db.close()


def _person(text: str) -> bytes:
    try:
        person = bytes.fromhex(text)
    except ValueError:
        person = b""
    if len(person) != PERSON_BYTES:
        raise CommandFailed(Exit.USAGE, "--person is 32 hexadecimal digits")
    return person


def _file(config: NodeConfig) -> Path:
    return config.folders.data / USERS_FILE


def _users(path: Path) -> list[User]:
    try:
        return load_users(path)
    except (ValueError, msgspec.MsgspecError) as refused:
        raise CommandFailed(Exit.USAGE, f"{path} is no users file: {refused}") from refused
