"""A member's node with its web side: GraphQL, sign-in, health and numbers on the event loop on which its turns run."""

import os
import sqlite3
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from app.auth.passwords import Passwords
from app.auth.sign_in import SignIn
from app.auth.sqlite_sessions import SqliteSessions
from app.auth.users_file import USERS_FILE, FileUsers
from app.config import NodeConfig
from app.graphql.schema.broadcast import Broadcast
from app.graphql.schema.context import Api, make_context
from app.graphql.schema.examples import EXAMPLES
from app.graphql.schema.root import build_api, build_schema
from app.node import DATABASE, MemberNode, Opening
from app.operations.health import Alive, health_routes
from app.operations.metrics import MemberNumbers, TurnMetrics
from app.readings.bundles import BundleWriter
from app.storage.database import open_database
from app.web.asgi import Ports, build_app
from app.web.embedded import EmbeddedServer
from states.identity import Party

SESSIONS = "sessions.db"
READER_CACHE_KIB = 8_192  # a connection that reads for one request at a time


class MemberProcess:
    """What `carecord node` runs. Everything happens on one thread, but for the hashing of passwords."""

    def __init__(self, opening: Opening, config: NodeConfig) -> None:
        registry = CollectorRegistry()
        broadcast, turns = Broadcast(), TurnMetrics(registry)
        self.node = MemberNode(opening, watchers=(broadcast.publish, turns.watch), meter=turns.took)
        registry.register(MemberNumbers(self.node))
        self._sessions = sqlite3.connect(self.node.folders.data / SESSIONS, check_same_thread=False)
        self.api = self._build_api(broadcast)
        self.app = self._build_app(registry, config.kind)
        self._server = EmbeddedServer(self.app, self.api.limits, config.web.host, config.web.port)

    def _build_api(self, broadcast: Broadcast) -> Api:
        node, path = self.node, self.node.folders.data / DATABASE
        return build_api(
            node.assembly,
            directory=node.map,
            broadcast=broadcast,
            wake=node.pump.wake,
            bundles=BundleWriter(node.assembly.vault, node.map),
            connect=partial(open_database, path, cache_kib=READER_CACHE_KIB),
        )

    def _build_app(self, registry: CollectorRegistry, kind: str) -> Starlette:
        passwords = Passwords(os.urandom)
        users = FileUsers(self.node.folders.data / USERS_FILE)
        sign_in = SignIn(users, SqliteSessions(self._sessions), passwords, _now, time.monotonic)
        alive = Alive("alive", kind, version("carecord"))
        return build_app(
            build_schema(),
            self.api.limits,
            sign_in,
            make_context(self.api),
            Ports(os.urandom, time.monotonic),
            extra_routes=health_routes(alive, self.node.checks, registry),
            examples=EXAMPLES,
        )

    @property
    def me(self) -> Party:
        return self.node.me

    async def start(self) -> None:
        """Listen to members and to this organisation's people; raises OSError where a port is taken."""
        await self.node.start()
        await self._server.start()

    async def stop(self) -> None:
        """Answer what is under way, finish the turn, flush links; the last connection moves the write-ahead log."""
        await self._server.stop()
        self.api.snapshots.close()
        self._sessions.close()
        await self.node.stop()


def _now() -> datetime:
    return datetime.now(UTC)
