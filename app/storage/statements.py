"""SQL text from SQLModel tables and Core statements: compiled once, executed by the driver without the ORM."""

import re
from functools import cache

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import ClauseElement
from sqlmodel import SQLModel

_DIALECT = sqlite.dialect(paramstyle="named")


def sql(statement: Executable) -> str:
    """Return the statement's text: `bindparam("name")` becomes `:name`, an integer constant stands in it."""
    assert isinstance(statement, ClauseElement), "a Core statement"
    compiled = statement.compile(dialect=_DIALECT)
    text = str(compiled)
    for name, value in compiled.params.items():
        if value is not None:
            assert type(value) is int, "only integers are written into a statement"
            text = re.sub(rf":{re.escape(name)}\b", str(value), text)
    return text


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a SQLModel class."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


@cache
def creation(*models: type[SQLModel]) -> tuple[str, ...]:
    """Return the statements that create the tables of these models and their indexes, once."""
    texts: list[str] = []
    for model in models:
        table = table_of(model)
        texts.append(str(CreateTable(table, if_not_exists=True).compile(dialect=_DIALECT)))
        texts += [
            str(CreateIndex(index, if_not_exists=True).compile(dialect=_DIALECT))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return tuple(texts)
