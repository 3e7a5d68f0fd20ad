"""The end of a seed: all is healed and at rest, and now the vaults, the outboxes and the databases are compared."""

from typing import TYPE_CHECKING

from flows.store import Status
from tests.simulation.faults import Fault
from tests.simulation.node import SimNode
from tests.simulation.observer import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_FORM_EVERY = 25  # seeds

_UNENDED = "SELECT id, tag, status, why, peer FROM flow WHERE status < 4 ORDER BY created, id"
_LETTERS = "SELECT count(*) FROM flow_outbox WHERE peer <> ?"
_RECOVERIES = "SELECT count(*) FROM ledger_recovery"
_UNCONFIRMED = "SELECT count(*) FROM unconfirmed"
_WITHDRAWN = (
    "SELECT tx, item, recipient FROM disclosure_item JOIN disclosure USING (tx)"
    " WHERE custodian = ? AND withdrawn_at IS NOT NULL"
)
_WITHDRAWN_THERE = "SELECT withdrawn_at FROM disclosure_item WHERE tx = ? AND item = ?"
_VAULT = "SELECT tx, status FROM ledger_tx"
_STATES = "SELECT tx, idx, consumed_by FROM ledger_state"


def judge(world: "World") -> None:
    """Raise Violation unless everything ended well. Observed flows have been retried by their operator."""
    for node in world.nodes.values():
        _liveness(world, node)
        _vault(world, node)
        _canaries(world, node)
    _everywhere(world)
    _agreement(world)
    _withdrawn(world)
    world.oracle.openings.judge()


def _liveness(world: "World", node: SimNode) -> None:
    stranger = str(world.stranger.party)
    observed = _observed_sessions(world)
    for flow, tag, status, why, peer in node.disk.execute(_UNENDED).fetchall():
        if status == Status.OBSERVED:
            world.tell(node.name, "left observed", tag, why)
            world.observed[tag, why.split(":")[0]] += 1
        elif (peer or _asked_alone(node, flow)) != stranger and not _waits_for(
            node, flow, observed
        ):
            raise Violation("liveness", f"{node.name}: {tag} is {Status(status).name}")
    (left,) = node.disk.execute(_LETTERS, (stranger,)).fetchone()
    if left:
        raise Violation("liveness", f"{node.name} has {left} messages that nobody takes")
    (asking,) = node.disk.execute(_RECOVERIES).fetchone()
    if asking:
        raise Violation("recovery is run once", f"{node.name} has not heard out {asking}")
    (unconfirmed,) = node.disk.execute(_UNCONFIRMED).fetchone()
    if unconfirmed:
        raise Violation("liveness", f"{node.name} is not told what {unconfirmed} have withdrawn")


def _observed_sessions(world: "World") -> set[bytes]:
    """Sessions whose other side waits for an operator: whoever waits for it is in its place."""
    return {
        session
        for node in world.nodes.values()
        for (session,) in node.disk.execute(
            "SELECT s.session FROM flow_session AS s JOIN flow AS f ON f.id = s.flow WHERE f.status = 3"
        )
    }


def _asked_alone(node: SimNode, flow: bytes) -> str:
    """Return the one that a flow of this node's own talks to: who offers something may never answer."""
    rows = node.disk.execute("SELECT DISTINCT peer FROM flow_session WHERE flow = ?", (flow,))
    peers = [peer for (peer,) in rows]
    return peers[0] if len(peers) == 1 else ""


def _waits_for(node: SimNode, flow: bytes, sessions: set[bytes]) -> bool:
    rows = node.disk.execute("SELECT session FROM flow_session WHERE flow = ?", (flow,))
    return any(session in sessions for (session,) in rows)


def _vault(world: "World", node: SimNode) -> None:
    """A vault holds nothing that does not concern its owner, and records nothing that is not in the log."""
    oracle = world.oracle
    for tx, status in node.disk.execute(_VAULT).fetchall():
        known = oracle.known.get(tx)
        if known is not None and node.me not in known.holders:
            raise Violation("only holders hold", f"{node.name} has {tx.hex()[:12]}")
        if status and tx not in oracle.places:
            raise Violation("only holders hold", f"{node.name} records {tx.hex()[:12]}, unlogged")


def _everywhere(world: "World") -> None:
    """What is in the log is recorded by everybody whom it concerns."""
    recorded = {
        node.me: {tx for tx, status in node.disk.execute(_VAULT) if status}
        for node in world.nodes.values()
    }
    for entry in world.oracle.log:
        tx = bytes(entry.transaction)
        if tx in world.oracle.lost and not any(tx in each for each in recorded.values()):
            world.tell("lost with its only disk", tx.hex()[:12])
            continue
        for party in sorted(world.oracle.known[tx].holders):
            node = world.node_of(party)
            if (
                node is not None
                and tx not in recorded[node.me]
                and not world.oracle.may_lack(node, tx)
            ):
                what = f"{node.name} lacks {tx.hex()[:12]}"
                raise Violation("in every participant's vault", what)


def _agreement(world: "World") -> None:
    """Whoever has a state knows whether it is consumed, and by what: a vault calls nothing live that is not."""
    oracle = world.oracle
    consumers = {
        (bytes(ref.tx), ref.index): tx
        for tx, known in oracle.known.items()
        if tx in oracle.places
        for ref in known.inputs
    }
    for node in world.nodes.values():
        for tx, index, by in node.disk.execute(_STATES).fetchall():
            consumer = consumers.get((tx, index))
            if by != consumer and not oracle.may_lack(node, consumer or by):
                what = f"{node.name} about {tx.hex()[:12]}:{index}"
                raise Violation("participants agree", what)


def _withdrawn(world: "World") -> None:
    """What a custodian has withdrawn its recipient knows to be withdrawn, whoever was restored since."""
    for custodian in world.nodes.values():
        for tx, item, recipient in custodian.disk.execute(_WITHDRAWN, (custodian.me,)).fetchall():
            node = world.node_of(recipient)
            assert node is not None, "the stranger is no recipient"
            held = node.disk.execute(_WITHDRAWN_THERE, (tx, item)).fetchone()
            if held == (None,):
                what = (
                    f"{node.name} may read {tx.hex()[:12]}:{item}, which {custodian.name} withdrew"
                )
                raise Violation("what is withdrawn stays so", what)


def _canaries(world: "World", node: SimNode) -> None:
    search = world.oracle.canaries.search
    if Fault.MALLORY not in world.swarm.rates:
        search("on the disk of", node.name, node.disk.serialize())
    stranger = str(
        world.stranger.party
    )  # it knows all, and may tell anybody: what it sent is no leak of ours
    node.disk.execute(
        "DELETE FROM flow_part WHERE flow IN (SELECT id FROM flow WHERE peer = ?)", (stranger,)
    )
    node.disk.execute("DELETE FROM flow WHERE peer = ?", (stranger,))
    for table in ("look", "look_alarm"):  # its forged reports are evidence against it
        node.disk.execute(f"DELETE FROM {table} WHERE organisation = ?", (stranger,))
    # SQLite overwrites what it deletes, and not the copies that stay behind in a page whose cells it had moved. Only
    # the stranger's can be among them unnoticed: what the others send is searched on its way.
    node.disk.execute("VACUUM")
    disk = node.disk.serialize()
    search("on the disk of", node.name, disk)
    blobs = [b"".join(node.blobs.stream(cid)) for cid in node.blobs.cids()]
    for blob in blobs:
        search("among the blobs of", node.name, blob)
    if world.seed % EVERY_FORM_EVERY == 0:
        world.oracle.canaries.search_every_form("in what is kept of", node.name, (disk, *blobs))
