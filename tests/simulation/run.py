"""One seed from its first enrolment to its judgement."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.store import Status
from tests.simulation.faults import Fault, Met
from tests.simulation.judgement import judge
from tests.simulation.mallory import Mallory
from tests.simulation.observer import Violation, observing
from tests.simulation.workload import Workload
from tests.simulation.world import World

ACTIVE_MS = (30_000, 90_000, 1_200_000)
ACTS = (12, 28)
BACKUPS_MS = 15_000
OPERATOR_ROUNDS = 2
ON_DISK_EVERY = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a seed ended. `trace` is the same anywhere for the same seed."""

    seed: int
    violation: Violation | None
    met: Met
    trace: list[str]
    swarm: str
    log_size: int


def simulate(seed: int) -> Outcome:
    """Run a seed; a violation is returned, not raised."""
    with observing():
        if seed % ON_DISK_EVERY:
            return _simulate(seed, None)
        with TemporaryDirectory() as directory:
            return _simulate(seed, Path(directory))


def _simulate(seed: int, directory: Path | None) -> Outcome:
    world = World(seed, directory)
    violation: Violation | None = None
    try:
        _live(world)
    except Violation as found:
        violation = found
        world.tell("VIOLATION", str(found))
    finally:
        world.notary.stop()
        for node in world.nodes.values():
            node.disk.watcher = None
    trace = [
        f"+{(at - world.trace[0][0]):>9} {' '.join(map(str, what))}" for at, what in world.trace
    ]
    for node in world.nodes.values():
        node.disk.close()
    return Outcome(seed, violation, world.met, trace, str(world.swarm), len(world.oracle.log))


def _live(world: World) -> None:
    workload = Workload(world)
    active = world.chance.choice(ACTIVE_MS)
    world.tell("seed", world.seed, "faults:", world.swarm)
    workload.begin(active)
    for _ in range(world.chance.randint(*ACTS)):
        world.after(world.chance.randint(0, active), workload.act)
    _plan(world, active)
    world.run(world.now + active)
    world.heal()
    world.run_to_rest()
    for _ in range(OPERATOR_ROUNDS):
        _operate(world)
        world.run_to_rest()
    world.after(0, workload.act)
    world.run_to_rest()
    workload.readers.close_the_day()
    judge(world)


def _plan(world: World, active: int) -> None:
    """Place in time what befalls the network as a whole, and the backups."""
    end = world.now + active
    if Fault.RESTORED in world.swarm:
        _repeat(world, BACKUPS_MS, end, lambda: _back_up(world))
    if Fault.CUT in world.swarm:
        _repeat(world, 1_000, end, lambda: _cut(world))
    if Fault.MALLORY in world.swarm:
        Mallory(world).act_until(end)


def _repeat(world: World, every: int, end: int, action: Callable[[], None]) -> None:
    def again() -> None:
        action()
        if world.now < end:
            world.after(every, again)

    world.after(every // 2, again)


def _back_up(world: World) -> None:
    for node in world.nodes.values():
        if node.assembly is not None and world.chance.random() < 0.5:
            node.back_up()


def _cut(world: World) -> None:
    if world.swarm.strikes(Fault.CUT):
        world.cut_some()


def _operate(world: World) -> None:
    """Let each operator retry what waits for her."""
    for node in world.nodes.values():
        if node.assembly is not None:
            for row in node.assembly.engine.flows((Status.OBSERVED,)):
                world.tell(node.name, "retried by its operator", row.tag, row.why)
                node.assembly.engine.retry(row.id)
            world.wake(node)
