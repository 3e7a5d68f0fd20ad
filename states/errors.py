"""What can be wrong with something that somebody offered."""

from enum import StrEnum


class LedgerError(Exception):
    """Somebody offered this node something the ledger's rules forbid.

    The engine and the edges catch this root at one place each and answer the peer; anything else that
    escapes is a fault of ours.
    """


class MalformedBytes(LedgerError):
    """Bytes are not the one canonical encoding of the value that was expected here."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class OverLimit(LedgerError):
    """Something is larger or more numerous than the network allows."""

    def __init__(self, what: str, found: int, allowed: int) -> None:
        super().__init__(f"{what}: {found} is over the limit of {allowed}")
        self.what = what
        self.found = found
        self.allowed = allowed


class InvalidProof(LedgerError):
    """A Merkle proof does not lead where it claims."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class InvalidSignature(LedgerError):
    """A signature does not verify, or is of a form that its scheme forbids; `why` names the first check that failed."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class Rule(StrEnum):
    """A clause: its name is asserted by tests, its value is the sentence that a refused peer reads."""


class RuleBroken(LedgerError):
    """A transaction breaks a clause; `rule` says which."""

    def __init__(self, transaction: bytes, rule: Rule) -> None:
        super().__init__(f"transaction {transaction.hex()[:16]} breaks {rule.name}: {rule.value}")
        self.transaction = transaction
        self.rule = rule
