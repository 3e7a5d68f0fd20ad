"""`carecord audit-log`: what a member was served of the notaries' logs, judged again without any network."""

import sqlite3
from contextlib import closing
from typing import assert_never

import msgspec
import typer

from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, say, show_json, show_table
from app.cli.places import Folder, load, map_in
from app.config import NodeConfig
from app.node_folder import DATABASE
from notaries.audit import DoubleSpend, Finding, LoggedTwice, NotAsSigned, TimeFell


class LogFinding(msgspec.Struct, frozen=True):
    """What a notary broke under its own signature, or what was served and is not what it signed."""

    what: str
    where: str
    words: str


class LogReport(msgspec.Struct, frozen=True, rename="camel"):
    """One notary's log: `copied` of the `signed` entries were read; no finding means that none breaks a promise."""

    origin: str
    notary: str
    copied: int
    signed: int
    findings: tuple[LogFinding, ...]


def audit_log(folder: Folder, *, as_json: AsJson = False) -> None:
    """Check what this member was served of its notaries' logs: signatures, order, and nothing consumed twice.

    Names as well what the node found while it followed them. Needs no network; the node may run meanwhile, and follows
    the logs by itself. Exit code 1 where there is a finding.
    """
    config = load(folder)
    if config.notary is not None:
        raise CommandFailed(
            Exit.USAGE, f"a notary follows no other's log: run carecord audit {folder}"
        )
    reports = _audited(config)
    if as_json:
        show_json(reports)
    for report in () if as_json else reports:
        say(f"{report.origin}: {report.copied} of {report.signed} signed entries read")
        if report.findings:
            rows = [(each.what, each.where, each.words) for each in report.findings]
            show_table("Findings", [("what", "where", "words"), *rows])
        else:
            say("Nothing was consumed twice, and nothing is other than the notary signed it.")
    found = any(report.findings for report in reports)
    raise typer.Exit(Exit.FAILED if found else Exit.OK)


def _audited(config: NodeConfig) -> tuple[LogReport, ...]:
    from app.log_audit.copied_log import FILE_NAME, CopiedLog, CopyAudit  # noqa: PLC0415
    from app.witness import distrust_of  # noqa: PLC0415

    reports = []
    with _reading(config, FILE_NAME) as copies, _reading(config, DATABASE) as vault:
        for info in map_in(config).parameters().notaries:
            found = CopiedLog(copies, info.log_keys).audit() or CopyAudit(0, 0, ())
            told = list(map(_told, found.findings))
            doubted = distrust_of(vault, info.party)
            if doubted is not None and doubted.why not in {each.what for each in told}:
                words = "the node does not believe it; the evidence is in notaries { distrust }"
                told.append(LogFinding(doubted.why, "checkpoints", words))
            reports.append(
                LogReport(info.origin, info.party, found.size, found.signed, tuple(told))
            )
    return tuple(reports)


def _reading(config: NodeConfig, name: str) -> closing[sqlite3.Connection]:
    path = config.folders.data / name
    if not path.exists():
        raise CommandFailed(Exit.USAGE, f"there is no {path}: the node never ran")
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))


def _told(finding: Finding) -> LogFinding:
    match finding:
        case DoubleSpend(nullifier, first, second):
            words = f"nullifier {nullifier.hex()} was consumed at {first}"
            return LogFinding("spent-twice", f"entry {second}", words)
        case LoggedTwice(transaction, first, second):
            words = f"transaction {transaction.hex()} stands at {first}, too"
            return LogFinding("logged-twice", f"entry {second}", words)
        case TimeFell(index, before, at):
            return LogFinding("time-fell", f"entry {index}", f"from {before} to {at} ms")
        case NotAsSigned(path, why):
            return LogFinding("not-as-signed", path, why)
        case unreachable:
            assert_never(unreachable)
