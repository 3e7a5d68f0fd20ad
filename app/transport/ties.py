"""One connection a pair: which of two to the same member is kept, decided alike on both sides."""

from states.identity import Party


def replaces(me: Party, peer: Party, *, kept_dialled: bool, newcomer_dialled: bool) -> bool:
    """Whether a connection that has just opened takes the place of the one that is kept.

    `…_dialled` says that this node dialled it. Dialled by the same side, the newer is kept: who dialled again knows
    that the older is dead. Dialled by both, the one dialled by the member with the smaller DID is kept; the other side
    comes to the same answer.
    """
    if kept_dialled == newcomer_dialled:
        return True
    return newcomer_dialled == (me < peer)
