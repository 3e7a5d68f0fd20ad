"""`carecord backup`, `carecord restore`, `carecord audit`: what an operator does so that nothing is lost or altered."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, say, show_json, show_table
from app.cli.places import Folder, keys_in, load, map_in, party_in, passphrase_of
from app.config import PASSPHRASE, NodeConfig
from app.node_folder import clock


class BackupReport(msgspec.Struct, frozen=True):
    """What a backup came to."""

    place: str
    party: str
    began: int
    database_bytes: int
    new_blobs: int
    kept_blobs: int
    erased_blobs: int


class RestoreReport(msgspec.Struct, frozen=True):
    """What a restore came to, and whom the node will ask when it starts."""

    folder: str
    party: str
    backup_began: int
    blobs: int
    asks: tuple[str, ...]


class AuditFinding(msgspec.Struct, frozen=True):
    """A row, or a part of the served log, that is not what the notary wrote or promised."""

    where: str
    row: str
    why: str
    expected: str


class AuditReport(msgspec.Struct, frozen=True):
    """All findings; none means that log and index are what the notary signed."""

    party: str
    size: int
    findings: tuple[AuditFinding, ...]


def backup(
    folder: Folder,
    place: Annotated[
        Path,
        typer.Argument(metavar="DEST", help="The backup's folder; made, or brought up to date."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Bring a node's backup up to date; the node may run meanwhile.

    At least daily: a destroyed key is gone for good when the last backup with it has expired, after seven days.
    """
    from app.operations.backup import FORMAT, Manifest, back_up  # noqa: PLC0415

    config = load(folder)
    found = Manifest(FORMAT, config.network.hex(), party_in(config), config.kind, clock())
    copied = back_up(folder, config.folders, keys_in(config), place, found)
    report = BackupReport(
        str(place),
        found.party,
        found.began,
        copied.database_bytes,
        copied.new_blobs,
        copied.kept_blobs,
        copied.erased_blobs,
    )
    if as_json:
        show_json(report)
    else:
        say(
            f"{place}: database {report.database_bytes} bytes; blobs: {report.new_blobs} new, "
            f"{report.kept_blobs} kept, {report.erased_blobs} erased"
        )


def restore(
    place: Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup's folder.")],
    folder: Annotated[Path, typer.Argument(help="The node's folder: not there yet, or empty.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a member's folder from its backup.

    The node tells its peers that it is not what it was; when it starts, it asks each for what happened since.
    """
    from app.operations.restore import restore as make_again  # noqa: PLC0415

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = make_again(place, folder, passphrase_of(PASSPHRASE, "key store"))
    report = RestoreReport(
        str(folder), made.manifest.party, made.manifest.began, made.blobs, made.asks
    )
    if as_json:
        show_json(report)
    else:
        say(
            f"{folder}: restored with {made.blobs} blobs; at its start it asks {len(made.asks)} peers"
        )


def audit(folder: Folder, *, as_json: AsJson = False) -> None:
    """Recompute a notary's whole log and index, and name every row that is not what the notary wrote.

    Exit code 1 where there is a finding.
    """
    config = load(folder)
    if config.notary is None:
        raise CommandFailed(Exit.USAGE, "only a notary keeps a log to audit")
    report = _audited(config)
    if as_json:
        show_json(report)
    elif report.findings:
        rows = [(f.where, f.row, f.why, f.expected) for f in report.findings]
        show_table("Findings", [("where", "row", "why", "expected"), *rows], wraps=False)
    else:
        say(f"{report.size} transactions, and nothing that the notary did not write")
    raise typer.Exit(Exit.FAILED if report.findings else Exit.OK)


def _audited(config: NodeConfig) -> AuditReport:
    from app.notary_node import seal_key  # noqa: PLC0415
    from notaries.database_audit import audit_database  # noqa: PLC0415
    from notaries.sqlite import INDEX_NAME, LOG_NAME  # noqa: PLC0415

    party, data = party_in(config), config.folders.data
    info = map_in(config).parameters().notary(party)
    if info is None:
        raise CommandFailed(Exit.USAGE, f"{party} is no notary of this network")
    if not (data / LOG_NAME).exists():
        raise CommandFailed(Exit.USAGE, f"{data} has no {LOG_NAME}: the notary never ran")
    changes = audit_database(
        data / LOG_NAME, data / INDEX_NAME, info.log_keys, seal_key(keys_in(config))
    )
    findings = tuple(AuditFinding(c.table, c.row, c.why, c.expected) for c in changes)
    return AuditReport(party, _size(data / LOG_NAME), findings)


def _size(log: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{log.absolute().as_uri()}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT count(*) FROM log").fetchone()
            return int(row[0])
    except sqlite3.Error:
        return 0
