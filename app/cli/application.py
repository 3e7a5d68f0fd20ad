"""The commands, put together: what `carecord --help` lists."""

from collections.abc import Sequence
from importlib import import_module

import typer

from app.cli import founding, membership, notary_logs, people, proofs, safekeeping, serving
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


_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@cli.command(context_settings=_PASSED_ON, add_help_option=False)
def demo(context: typer.Context) -> None:
    """A network of five nodes on this machine, with invented patients; --help says more."""
    raise typer.Exit(_run("app.demo.command", context.args))


@cli.command(context_settings=_PASSED_ON, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Measure the hot paths on this machine; --help says more."""
    raise typer.Exit(_run("app.bench", context.args))


def _run(module: str, arguments: Sequence[str]) -> int:
    """Run another program of this release, whose options are its own; nobody else pays for loading it."""
    return int(import_module(module).main(list(arguments)))


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
