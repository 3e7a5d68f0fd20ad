"""What a session's last message means to the flow that awaits another one."""

from flows.envelope import FAULT, Kind
from flows.journal import Trouble
from flows.store import InboxRow
from states.errors import LedgerError

SESSION_LOST = "session-lost"  # the code of an ERROR whose sender cannot go on with the session
ALREADY_SEEN = "already-seen"  # the code of a REJECT for an INIT that was taken before


def trouble_of(row: InboxRow) -> Trouble:
    """Return what is raised for an END, ERROR or REJECT, or for a session that was lost."""
    match row.kind:
        case Kind.END:
            return Trouble("ended", row.peer, "", "")
        case Kind.ERROR | Kind.REJECT:
            try:
                fault = FAULT.decode(row.body)
            except LedgerError:
                return Trouble("failed", row.peer, "malformed", "")
            if fault.code in (SESSION_LOST, ALREADY_SEEN):
                return Trouble("lost", row.peer, fault.code, "")
            return Trouble("failed", row.peer, fault.code, fault.public)
        case _:
            return Trouble("lost", row.peer, "", "")
