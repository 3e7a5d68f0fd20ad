"""The commands, put together: what `carecord --help` lists."""

from collections.abc import Sequence

import typer

from app.cli import founding, membership, notary_logs, people, proofs, safekeeping, serving, showing
from app.cli.exits import code_of, sentence_of
from app.cli.ingest import ingest
from app.cli.output import warn

EPILOG = (
    "Exit codes: 0 all is well; 1 a check found something; 2 the command, a file or the configuration is not as it "
    "must be; 3 a node does not answer; 4 it answers and refuses."
)

cli = typer.Typer(
    name="carecord",
    help="A permissioned network for medical records.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
network = typer.Typer(help="Found a network, admit and remove members, rotate keys.")
network.command("init")(founding.init)
network.command("parameters")(founding.parameters)
network.command("countersign")(founding.countersign_request)
network.command("remove")(founding.remove)
network.command("request")(membership.request)
network.command("admit")(membership.admit)
network.command("rotate")(membership.rotate)
network.command("show")(membership.show)

cli.command()(serving.node)
cli.command()(serving.notary)
cli.command()(serving.health)
cli.add_typer(network, name="network")
cli.add_typer(people.users, name="users")
cli.add_typer(people.practitioners, name="practitioners")
cli.add_typer(people.patients, name="patients")
cli.command()(ingest)
cli.command()(proofs.verify)
cli.command()(proofs.schema)
cli.command()(safekeeping.backup)
cli.command()(safekeeping.restore)
cli.command()(safekeeping.audit)
cli.command()(notary_logs.audit_log)
cli.command()(showing.demo)
cli.command()(showing.bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    try:
        cli(args=None if arguments is None else list(arguments))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as failure:
        code = code_of(failure)
        if code is None:
            raise
        warn(sentence_of(failure))
        return code
    return 0
