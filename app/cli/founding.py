"""`carecord network …` for the network's founder and operators: keys, parameters, countersigning, removals."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, printable, say, show_json
from app.cli.places import passphrase_of, require_private
from app.config import usual_folders
from app.names import name_flaw
from app.network.bootstrap import Terms, announce, countersign, publish_first, read_request
from app.network.errors import naming
from app.network.folder import MapFolder, member_file, removal_file
from app.network.founding_key import create_founding_key, open_founding_key
from app.network.network_map import NetworkMap
from app.network.removal import remove as sign_removal
from app.node_folder import clock
from states.crypto.ed25519 import Ed25519Signer
from states.identity import Party
from states.parameters import AllowedContract, NetworkParameters, NotaryInfo
from states.trust import Trust, read_trust, trust_in

FOUNDING, OPERATOR = "founding.key", "operator.key"
TRUST_FILE = "network.pub"
FOUNDING_PASSPHRASE = "CARECORD_FOUNDING_PASSPHRASE"  # noqa: S105 - the name of the variable
OPERATOR_PASSPHRASE = "CARECORD_OPERATOR_PASSPHRASE"  # noqa: S105 - as above
DAY_MS = 86_400_000
ANNOUNCED_MS = 2 * DAY_MS  # a day and what it takes to carry the file to a member

FounderFolder = Annotated[
    Path, typer.Argument(help="The founder's or operator's folder.", show_default=False)
]


class Published(msgspec.Struct, frozen=True):
    """A signed part of the map, to be brought to one member by file; the others hear of it from that one."""

    file: str
    what: str


def init(
    folder: FounderFolder,
    name: Annotated[str, typer.Option(help="The network's name; part of its id for ever.")],
) -> None:
    """Found a network: draw its founding key and an operator's key, and write network.pub, which everybody pins.

    Passphrases: CARECORD_FOUNDING_PASSPHRASE and CARECORD_OPERATOR_PASSPHRASE (or …_FILE), or asked for. Keep
    founding.key on a medium that is not in the machine.
    """
    if flaw := name_flaw(name):
        raise CommandFailed(Exit.USAGE, f"--name is no name: {flaw}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(folder)
    founding = create_founding_key(
        folder / FOUNDING, passphrase_of(FOUNDING_PASSPHRASE, "founding key"), os.urandom
    )
    create_founding_key(
        folder / OPERATOR, passphrase_of(OPERATOR_PASSPHRASE, "operator's key"), os.urandom
    )
    trust = trust_in(name, founding.key)
    (folder / TRUST_FILE).write_text(trust.line, "utf-8")
    say(
        f"{trust.line.rstrip()}\nGive {folder / TRUST_FILE} to every member, by a way that they trust."
    )


def parameters(
    folder: FounderFolder,
    notaries: Annotated[
        list[Path] | None,
        typer.Option("--notary", help="The request file of a notary to name (again)."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Sign the network's parameters: the first version begins at once, a later one in two days.

    A later version keeps the notaries that are named already, adds those of --notary, and allows the contracts of this
    release.
    """
    trust, known = opened(folder)
    added = tuple(_notary_in(path, trust) for path in notaries or ())
    newest, now = known.history.newest, clock()
    founding = open_founding_key(
        folder / FOUNDING, passphrase_of(FOUNDING_PASSPHRASE, "founding key")
    )
    if newest is None:
        operators = (_operator(folder).key,)
        data = publish_first(
            founding, Terms(trust.name, added, _contracts((), now), operators), now
        )
    else:
        starts = now + ANNOUNCED_MS
        data = announce(founding, newest, _following(newest, added, starts), starts, now)
    known.take_parameters(data)
    version = known.history.newest
    assert version is not None, "it was taken"
    _told(folder, f"parameters-{version.version:010d}", "parameters", as_json=as_json)


def _contracts(former: tuple[AllowedContract, ...], starts: int) -> tuple[AllowedContract, ...]:
    """Keep what is allowed, from when it was; allow the others of this release from a moment on."""
    # Here, because the list of contracts brings all subjects with it.
    from app.subjects.catalogue import allowed_contracts  # noqa: PLC0415

    known = {(each.name, each.corpus) for each in former}
    new = (each for each in allowed_contracts(starts) if (each.name, each.corpus) not in known)
    return (*former, *new)


def _following(newest: NetworkParameters, added: tuple[NotaryInfo, ...], starts: int) -> Terms:
    notaries = {info.party: info for info in (*newest.notaries, *added)}
    return Terms(
        name=newest.name,
        notaries=tuple(notaries.values()),
        contracts=_contracts(newest.contracts, starts),
        operators=newest.operators,
        limits=newest.limits,
        implicit_policy=newest.implicit_policy,
        origins=newest.origins,
        rp_ids=newest.rp_ids,
        issuers=tuple(Party(each) for each in newest.issuers),
    )


def countersign_request(
    folder: FounderFolder,
    request: Annotated[Path, typer.Argument(help="The request file of a member.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="You have compared it with what the organisation said.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Countersign a member's entry, after comparing its DID with what the organisation said by phone.

    CARECORD_OPERATOR_PASSPHRASE (or …_FILE) opens operator.key.
    """
    trust, known = opened(folder)
    data = request.read_bytes()
    with naming(request):
        member, _ = read_request(data, trust.network)
    typer.echo(
        printable(f"{member.name} ({member.kind}), serial {member.serial}\n{member.party}\n")
        + printable(f"reached at {', '.join(member.endpoints) or 'no address: it dials others'}"),
        err=True,
    )
    if not yes:
        typer.confirm("Is that what the organisation said?", abort=True, err=True)
    with naming(request):
        countersign(data, _operator(folder), known)
    _told(folder, member_file(Party(member.party)), "entry", as_json=as_json)


def remove(
    folder: FounderFolder,
    party: Annotated[str, typer.Argument(help="The member's DID.")],
    reason: Annotated[str, typer.Option(help="Shown to every member.")],
    *,
    as_json: AsJson = False,
) -> None:
    """End a membership without the member's consent, from now on; what it signed before stays valid."""
    _, known = opened(folder)
    member = known.member(Party(party))
    known.take_removal(sign_removal(member, clock(), reason, _operator(folder)))
    _told(folder, removal_file(Party(party)), "removal", as_json=as_json)


def opened(folder: Path) -> tuple[Trust, NetworkMap]:
    """Open a founder's or operator's folder: its trust file and its map."""
    require_private(folder)
    trust = read_trust((folder / TRUST_FILE).read_text("utf-8"))
    return trust, NetworkMap(trust.network, MapFolder(usual_folders(folder).map), clock)


def _notary_in(path: Path, trust: Trust) -> NotaryInfo:
    with naming(path):
        _, info = read_request(path.read_bytes(), trust.network)
    if info is None:
        raise CommandFailed(Exit.USAGE, f"{path} is the request of a member that is no notary")
    return info


def _operator(folder: Path) -> Ed25519Signer:
    return open_founding_key(
        folder / OPERATOR, passphrase_of(OPERATOR_PASSPHRASE, "operator's key")
    )


def _told(folder: Path, name: str, what: str, *, as_json: bool) -> None:
    published = Published(str(usual_folders(folder).map / f"{name}.signed"), what)
    if as_json:
        show_json(published)
    else:
        say(f"{published.what}: {published.file}\nA member takes it with: carecord network admit")
