"""The engine's tables: what `SqliteFlowStore` keeps its rows in."""

SCHEMA = (
    """CREATE TABLE flow (
        id BLOB PRIMARY KEY CHECK (length(id) = 16), tag TEXT NOT NULL, args BLOB NOT NULL, status INTEGER NOT NULL,
        torn INTEGER NOT NULL, in_doubt INTEGER NOT NULL, attempts INTEGER NOT NULL, created INTEGER NOT NULL,
        client_key TEXT UNIQUE, peer TEXT NOT NULL, session BLOB NOT NULL, result BLOB NOT NULL, why TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX flow_newest ON flow (status, created, id)",
    "CREATE INDEX flow_responder ON flow (peer, session) WHERE status < 4 AND peer <> ''",
    "CREATE INDEX flow_torn ON flow (id) WHERE status = 0 AND torn = 1",
    """CREATE TABLE flow_journal (
        flow BLOB NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, hash BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (flow, seq)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE flow_session (
        peer TEXT NOT NULL, session BLOB NOT NULL, flow BLOB NOT NULL, sent INTEGER NOT NULL,
        received INTEGER NOT NULL, open INTEGER NOT NULL, PRIMARY KEY (peer, session)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX flow_session_flow ON flow_session (flow)",
    """CREATE TABLE flow_tombstone (peer TEXT NOT NULL, session BLOB NOT NULL, PRIMARY KEY (peer, session))
    STRICT, WITHOUT ROWID""",
    """CREATE TABLE flow_inbox (
        peer TEXT NOT NULL, session BLOB NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, body BLOB NOT NULL,
        parts BLOB NOT NULL, PRIMARY KEY (peer, session, seq)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE flow_outbox (
        peer TEXT NOT NULL, number INTEGER NOT NULL, kind INTEGER NOT NULL, session BLOB NOT NULL,
        seq INTEGER NOT NULL, body BLOB NOT NULL, parts BLOB NOT NULL, PRIMARY KEY (peer, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE flow_held_part (peer TEXT NOT NULL, number INTEGER NOT NULL, part BLOB NOT NULL,
        PRIMARY KEY (peer, number, part)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX flow_held_part_part ON flow_held_part (part)",
    "CREATE TABLE flow_part (id BLOB PRIMARY KEY, flow BLOB NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE INDEX flow_part_flow ON flow_part (flow)",
    """CREATE TABLE flow_wait (
        flow BLOB PRIMARY KEY, due INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, question BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE flow_event (
        number INTEGER PRIMARY KEY, flow BLOB NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, body BLOB,
        UNIQUE (flow, name, key)
    ) STRICT""",
    """CREATE TABLE flow_progress (
        number INTEGER PRIMARY KEY, flow BLOB NOT NULL, at INTEGER NOT NULL, status INTEGER NOT NULL,
        step TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX flow_progress_flow ON flow_progress (flow, number)",
    """CREATE TABLE flow_admission (
        number INTEGER PRIMARY KEY, flow BLOB NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL,
        error TEXT NOT NULL, detail TEXT NOT NULL, verb TEXT NOT NULL, due INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX flow_admission_flow ON flow_admission (flow)",
    """CREATE TABLE flow_peer (peer TEXT PRIMARY KEY, incarnation BLOB NOT NULL, next_out INTEGER NOT NULL,
        next_in INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE TABLE flow_incarnation (number INTEGER PRIMARY KEY, random BLOB NOT NULL) STRICT",
)
