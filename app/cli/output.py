"""What commands print: a table for people, or one JSON document with --json. Never both."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

LINE_CHARS_MAX = 100_000
_REPLACED = "\N{REPLACEMENT CHARACTER}"


def say(sentence: str) -> None:
    """Print a line; what could steer the terminal is replaced."""
    typer.echo(printable(sentence))


def warn(sentence: str) -> None:
    """Print a line beside the answer, on standard error."""
    typer.echo(printable(sentence), err=True)


def show_json(value: msgspec.Struct | Sequence[msgspec.Struct]) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def show_table(title: str, rows: Sequence[tuple[str, ...]], *, wraps: bool = True) -> None:
    """Print a table; the first row is its heading. Texts of others are shown, never read as markup.

    What is there to be copied does not wrap: a row is one line, however narrow the terminal.
    """
    from rich.console import Console  # noqa: PLC0415 - a node that only serves needs no tables
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    heading, *body = rows
    table = Table(title=Text(title), title_justify="left")
    for name in heading:
        table.add_column(name, overflow="fold")
    for row in body:
        table.add_row(*(Text(printable(cell)) for cell in row))
    (Console() if wraps else Console(width=LINE_CHARS_MAX)).print(table)


def printable(text: str) -> str:
    return "".join(each if each.isprintable() or each == "\n" else _REPLACED for each in text)
