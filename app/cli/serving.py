"""`carecord node` and `carecord notary`: one process a node, in the foreground; `carecord health` asks one."""

import gc
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from app.cli.exits import CommandFailed, Exit
from app.cli.output import AsJson, say
from app.cli.places import Folder, load, opening_of, owned
from app.config import NodeConfig

HEALTH_SECONDS = 4.0
ANSWER_BYTES_MAX = 1 << 16
HTTP_OK = 200


def node(folder: Folder) -> None:
    """Run a member's node in the foreground, until SIGTERM or SIGINT.

    CARECORD_PASSPHRASE, or the file that CARECORD_PASSPHRASE_FILE names, opens its key store; at a terminal it is
    asked for. Log lines go to standard error.
    """
    config = load(folder)
    _require_kind(config, folder, notary=False)
    raise typer.Exit(_run(folder, config))


def notary(folder: Folder) -> None:
    """Run a notary in the foreground, until SIGTERM or SIGINT. Passphrase and log as of `carecord node`."""
    config = load(folder)
    _require_kind(config, folder, notary=True)
    raise typer.Exit(_run(folder, config))


def _require_kind(config: NodeConfig, folder: Path, *, notary: bool) -> None:
    if (config.kind == "notary") is not notary:
        right = "notary" if config.kind == "notary" else "node"
        raise CommandFailed(Exit.USAGE, f"it is a {config.kind}: run carecord {right} {folder}")


def _run(folder: Path, config: NodeConfig) -> int:
    # Here, so that no other command pays for what only a node needs.
    from app.operations.log_lines import log_to  # noqa: PLC0415
    from app.operations.process import Service, run_service  # noqa: PLC0415

    gc.disable()  # nothing of what a start makes is garbage; `run_service` lets it begin
    log_to(sys.stderr, config.log)

    def make() -> Service:
        opening = opening_of(folder, config)
        if config.notary is not None:
            from app.web.notary_app import NotaryProcess  # noqa: PLC0415

            return NotaryProcess(opening, config.notary, config.web)
        from app.web.node_app import MemberProcess  # noqa: PLC0415

        return MemberProcess(opening, config)

    with owned(config):
        return run_service(make)


def health(
    url: Annotated[str, typer.Argument(help="Where the node's web side is, as http://host:port.")],
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it can work, not only whether it lives.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a node whether it lives, or with --ready whether it can do its work; 0 yes, 1 no, 3 no answer."""
    path = "/ready" if ready else "/health"
    status, body = _get(url, path)
    if as_json:
        typer.echo(body)
    else:
        words = {True: "ready" if ready else "alive", False: "not ready" if ready else "not well"}
        say(words[status == HTTP_OK])
    raise typer.Exit(Exit.OK if status == HTTP_OK else Exit.FAILED)


def _get(url: str, path: str) -> tuple[int, str]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise CommandFailed(Exit.USAGE, f"{url} is no address like http://127.0.0.1:8100")
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, HTTPException) as failure:
        raise CommandFailed(
            Exit.UNREACHABLE, f"{url} does not answer: {type(failure).__name__}"
        ) from failure
    finally:
        connection.close()
