"""How many live streams and sockets each user has, over all connections."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.graphql.errors import ApiError, ErrorCode


class Slots:
    """At most `allowed` of something for each user; users with none take no memory."""

    def __init__(self, what: str, allowed: int) -> None:
        self._what = what
        self._allowed = allowed
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, user_id: str) -> Iterator[None]:
        """Hold one slot. Raise LIMIT_EXCEEDED where the user has all of hers in use."""
        if self._taken[user_id] >= self._allowed:
            raise ApiError(
                ErrorCode.LIMIT_EXCEEDED,
                f"{self._what}: no more than {self._allowed} at once",
                {"limit": self._what, "allowed": self._allowed},
            )
        self._taken[user_id] += 1
        try:
            yield
        finally:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]
