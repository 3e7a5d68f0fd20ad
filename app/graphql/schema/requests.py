"""Mutations that happen once: a user's idempotency key stands for one request for ever."""

from collections.abc import Callable
from hashlib import sha256
from sqlite3 import Connection

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from app.graphql.schema.policy import Viewer
from app.graphql.schema.tables import API_TABLES, RequestRow, SecretRow, ShownRow
from app.keystore.keys import KeyStore
from app.storage.database import transaction
from app.storage.statements import creation, sql, table_of
from flows.engine import Engine
from flows.flow import Flow

SECRET_BYTES = 32
SECRET_AAD = b"api-secret"
_SECRET_ID = 0

_SECRET, _REQUEST, _SHOWN = table_of(SecretRow), table_of(RequestRow), table_of(ShownRow)
_GET_SECRET = sql(select(_SECRET.c.wrapped))
_ADD_SECRET = sql(insert(_SECRET))
_GET = sql(
    select(_REQUEST.c.digest, _REQUEST.c.made).where(
        _REQUEST.c.client_key == bindparam("client_key")
    )
)
_ADD = sql(insert(_REQUEST))
_ADD_SHOWN = sql(insert(_SHOWN).prefix_with("OR IGNORE"))


_INDEXES = (
    "CREATE INDEX IF NOT EXISTS api_flow_started ON flow (created, id)",
    "CREATE INDEX IF NOT EXISTS api_statement_made ON statement (created_seq, idx)",
    "CREATE INDEX IF NOT EXISTS api_statement_for ON statement (grantee, created_seq, idx)",
    "CREATE INDEX IF NOT EXISTS api_request_asked ON disclosure_request (at, number)",
    "CREATE INDEX IF NOT EXISTS api_update_seq ON ledger_update (seq, number)",
)
"""What pages of the API need beyond the indexes that the tables' owners need."""


class KeyReused(Exception):
    """The idempotency key stands for another request of this user."""


class Requests:
    """What was asked under which key; writes on the node's own connection, in one transaction with what it starts."""

    def __init__(
        self,
        db: Connection,
        engine: Engine[Connection],
        clock: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._db = db
        self._engine = engine
        self._clock = clock
        self._wake = wake
        for statement in (*creation(*API_TABLES), *_INDEXES):
            db.execute(statement)

    def start(self, viewer: Viewer, key: str, asked: object, make: Callable[[], Flow]) -> bytes:
        """Start the flow that `make` returns, or return the id of the one that this key started. Raises KeyReused.

        `make` may write: with the flow all of it is durable, or nothing.
        """

        def begin(client_key: str) -> bytes:
            return self._engine.start(make(), client_key)

        flow = self.once(viewer, key, asked, begin)
        self._wake()
        return flow

    def once(self, viewer: Viewer, key: str, asked: object, make: Callable[[str], bytes]) -> bytes:
        """Return what `make` made of the request, now or when it was first asked. Raises KeyReused."""
        client_key = viewer.keys + key
        digest = sha256(msgspec.msgpack.encode(asked, order="deterministic")).digest()
        with transaction(self._db):
            known = self._db.execute(_GET, {"client_key": client_key}).fetchone()
            if known is not None:
                if known[0] != digest:
                    raise KeyReused
                return bytes(known[1])
            made = make(client_key)
            self._db.execute(_ADD, {"client_key": client_key, "digest": digest, "made": made})
        return made

    def show_once(self, flow: bytes) -> bool:
        """Whether nobody was shown this flow's code before; durably so from now on."""
        with transaction(self._db):
            cursor = self._db.execute(_ADD_SHOWN, {"flow": flow, "at": self._clock()})
            return cursor.rowcount == 1


def open_secret(db: Connection, keys: KeyStore, entropy: Callable[[int], bytes]) -> bytes:
    """Return the secret of this node's cursors and ids; drawn at the first start."""
    for statement in creation(*API_TABLES):
        db.execute(statement)
    with transaction(db):
        row = db.execute(_GET_SECRET).fetchone()
        if row is None:
            secret = entropy(SECRET_BYTES)
            wrapped = keys.wrap_at_rest(secret, SECRET_AAD)
            db.execute(_ADD_SECRET, {"id": _SECRET_ID, "wrapped": wrapped})
            return secret
    return keys.unwrap_at_rest(row[0], SECRET_AAD)
