"""A node of the simulation: real parts on a disk that outlives them, an image of it, and who watches it."""

from collections.abc import Callable
from dataclasses import dataclass

from app.assembly import Assembly, Surroundings
from app.blobs.memory import MemoryBlobStore
from flows.envelope import Envelope
from states.identity import Party
from tests.simulation.disk import Disk, Killed, empty_disk
from tests.simulation.observer import Account, Observer, Post
from tests.simulation.village import Founding, Resident


@dataclass(slots=True)
class Image:
    """A backup: what was durable at a moment, and what the observer knew of it."""

    at: int
    disk: Disk
    account: Account


@dataclass(slots=True)
class Setting:
    """What all nodes of a world share."""

    founding: Founding
    time: Callable[[], int]
    entropy: Callable[[int], bytes]
    post: Post
    strangers: frozenset[str]
    double_run: bool


@dataclass(slots=True)
class Input:
    """An envelope that was handed to the engine for its next turn."""

    peer: Party
    envelope: Envelope


class SimNode:
    """What the world keeps of a node; `assembly` is None while its process is dead."""

    def __init__(self, resident: Resident, setting: Setting) -> None:
        self.name = resident.name
        self.me = resident.party
        self.resident = resident
        self.skew = 0
        self.blobs = MemoryBlobStore()
        self.disk = empty_disk()
        self.observer = Observer(self.me, setting.post, setting.strangers)
        self.assembly: Assembly | None = None
        self.image: Image | None = None
        self.restored = 0
        self.turn_at: int | None = None
        self.inputs: list[Input] = []
        self.fate: bool | None = None
        """How the next commit ends: False, killed before it; True, killed after; None, well."""
        self._setting = setting
        self.observer.fates = self._meet_fate

    def clock(self) -> int:
        return self._setting.time() + self.skew

    def start(self) -> Assembly:
        """Start the process on its disk. Tables are made before anybody watches."""
        self.disk.watcher = None
        self.assembly = self.assemble()
        self.disk.watcher = self.observer
        return self.assembly

    def assemble(self) -> Assembly:
        setting = self._setting
        return Assembly(
            Surroundings(
                me=self.me,
                db=self.disk,
                keys=self.resident.keys,
                blobs=self.blobs,
                parameters=setting.founding.history,
                directory=setting.founding.directory,
                party_of=setting.founding.party_of,
                notary=setting.founding.notary.party,
                clock=self.clock,
                entropy=setting.entropy,
                double_run=setting.double_run,
            )
        )

    def lose_process(self) -> None:
        """Lose every object but the disk, and what was not committed."""
        self.assembly = None
        self.disk.lose_power()
        self.observer.rolled_back()
        self.fate = None
        self.turn_at = None
        self.inputs = []

    def back_up(self) -> None:
        self.image = Image(self.clock(), self.disk.image(), self.observer.account.copy())

    def restore(self) -> Image:
        """Put the image where the disk was; the process is dead. The new incarnation is the caller's to draw."""
        assert self.image is not None
        image, lost = self.image, self.disk
        self.disk = image.disk.image()
        lost.close()
        self.observer.account = image.account.copy()
        self.restored += 1
        return image

    def _meet_fate(self, after: bool) -> None:  # noqa: FBT001 - the side of the commit
        if self.fate is after:
            self.fate = None
            raise Killed(self.name)
