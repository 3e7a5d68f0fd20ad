"""The one way in which the second implementation says no: a clause and a sentence."""


class Refused(Exception):
    """What was given is not what the clause of states/README.md asks for."""

    def __init__(self, clause: str, why: str) -> None:
        super().__init__(f"§{clause}: {why}")
        self.clause = clause
        self.why = why


def require(holds: bool, clause: str, why: str) -> None:  # noqa: FBT001  the condition is the point
    """Raise Refused, naming the clause, unless the condition holds."""
    if not holds:
        raise Refused(clause, why)
