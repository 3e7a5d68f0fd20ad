"""`carecord verify` and `carecord schema`: what needs neither node nor network."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.cli import mistaken
from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, say, show_json, warn

BUNDLE_BYTES_MAX = 16 << 20


class VerifiedStep(msgspec.Struct, frozen=True):
    """A step that passed."""

    step: int
    said: str


class VerifyReport(msgspec.Struct, frozen=True):
    """What a bundle proves; `refused` names the step that failed, and then nothing else may be believed."""

    verified: bool
    refused: str | None = None
    subject: str = ""
    who: str = ""
    when: str = ""
    what: str = ""
    why: str = ""
    steps: tuple[VerifiedStep, ...] = ()
    cannot_prove: tuple[str, ...] = ()


def verify(
    bundle: Annotated[Path, typer.Argument(help="A proof bundle; - reads standard input.")],
    trust: Annotated[
        Path, typer.Option(help="The network's trust file, network.pub, got by a way you trust.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Check a proof bundle, offline, and say in plain words what it proves and what not.

    Exit code 1 where it does not verify.
    """
    from states.bundle import BundleRefused, Check, verify_bundle  # noqa: PLC0415
    from states.errors import LedgerError  # noqa: PLC0415
    from states.trust import read_trust  # noqa: PLC0415

    try:
        pinned = read_trust(_read(trust, 4_096).decode("utf-8", "replace"))
    except LedgerError as refused:
        raise CommandFailed(Exit.USAGE, f"{trust} is no trust file: {refused}") from refused
    data = _read(bundle, BUNDLE_BYTES_MAX)
    try:
        found = verify_bundle(data, pinned)
    except BundleRefused as refused:
        words = str(refused)
        if refused.check is Check.READABLE:
            words = f"{words}. {mistaken.told(data)}"
        _show(VerifyReport(verified=False, refused=words), as_json=as_json)
        raise typer.Exit(Exit.FAILED) from refused
    steps = tuple(VerifiedStep(each.step, each.said) for each in found.steps)
    report = VerifyReport(
        verified=True,
        subject=found.subject,
        who=found.who,
        when=found.when,
        what=found.what,
        why=found.why,
        steps=steps,
        cannot_prove=found.cannot,
    )
    _show(report, as_json=as_json)


def _show(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        show_json(report)
    elif not report.verified:
        warn(f"It does not verify: {report.refused}\nBelieve nothing that it says.")
    else:
        for name, words in (
            ("Who", report.who),
            ("When", report.when),
            ("What", report.what),
            ("Why", report.why),
        ):
            say(f"{name + ':':6} {words}")
        say("\nVerified, step by step:")
        for each in report.steps:
            say(f"  {each.step}. {each.said}")
        say("\nWhat it cannot prove:")
        for words in report.cannot_prove:
            say(f"  - {words}")


def _read(path: Path, most: int) -> bytes:
    if str(path) == "-":
        data = sys.stdin.buffer.read(most + 1)
    else:
        with path.open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise CommandFailed(Exit.USAGE, f"{path} is larger than {most} bytes")
    return data


def schema() -> None:
    """Print the GraphQL schema of a node (SDL)."""
    from app.graphql.schema.root import build_schema, schema_text  # noqa: PLC0415

    typer.echo(schema_text(build_schema()), nl=False)
