"""What is held open by a permission: each watch is asked again after every change, and ends with what permitted it."""

from collections.abc import Callable

from app.access import Decision, Deny


class Watch:
    """One open subscription, page or export. `generation` grows with each time that it was confirmed."""

    __slots__ = ("_ask", "_ended", "_watches", "generation", "open")

    def __init__(
        self, watches: "Watches", ask: Callable[[], Decision], ended: Callable[[], None]
    ) -> None:
        self._watches = watches
        self._ask = ask
        self._ended = ended
        self.generation = 0
        self.open = True

    def confirm(self) -> bool:
        """Ask the gate once more; a refusal ends the watch for ever and tells its owner."""
        if self.open and isinstance(self._ask(), Deny):
            self.close()
            self._ended()
        self.generation += self.open
        return self.open

    def close(self) -> None:
        self.open = False
        self._watches.forget(self)


class Watches:
    """All that is held open at a node.

    The node calls `sweep` after each turn of its engine in which something was recorded, and at a beat of half a
    second besides: so a withdrawal, a lease that runs out and a session that expires end all of it within a second.
    """

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, ask: Callable[[], Decision], ended: Callable[[], None]) -> Watch:
        """Hold something open while `ask` permits; `ended` is called once when it does not any more."""
        watch = Watch(self, ask, ended)
        self._watches[watch] = None
        return watch

    def sweep(self) -> int:
        """Confirm every watch; return how many ended."""
        return sum(not watch.confirm() for watch in tuple(self._watches))

    def forget(self, watch: Watch) -> None:
        self._watches.pop(watch, None)
