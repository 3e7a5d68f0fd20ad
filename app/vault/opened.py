"""Tear-offs that this process has opened already, by their stored bytes."""

from states.tearoff import TEAROFF, FilteredTransaction, open_tearoff

REMEMBERED = 2_048
REMEMBERED_BYTES_MAX = 8_192  # a larger one is opened each time: at most 16 MiB of bytes are kept


class OpenedTearoffs:
    """A transaction is read when it is proposed, sent, spent and recorded; opening it means hashing all of it.

    What is remembered is found by the bytes that the database holds now, so that there is nothing to invalidate.
    """

    def __init__(self) -> None:
        self._opened: dict[bytes, FilteredTransaction] = {}

    def of(self, stored: bytes) -> FilteredTransaction:
        """Decode and open a stored tear-off; raises as `open_tearoff` does."""
        found = self._opened.get(stored)
        if found is None:
            found = open_tearoff(TEAROFF.decode(stored))
            self.remember(stored, found)
        return found

    def remember(self, stored: bytes, opened: FilteredTransaction) -> None:
        """Keep what was opened, `stored` being its tear-off's encoding."""
        if len(stored) > REMEMBERED_BYTES_MAX:
            return
        if len(self._opened) >= REMEMBERED:
            del self._opened[next(iter(self._opened))]
        self._opened[stored] = opened
