"""Flows that the engine's tests run: an echo, a counter in the database, and some that go wrong on purpose."""

# ruff: noqa: ARG002 - a flow need not use all that it gets

from sqlite3 import Connection, OperationalError
from typing import ClassVar

import msgspec

from flows.flow import (
    AskNotary,
    AwaitEvent,
    CounterpartyFailed,
    FlowContext,
    FlowRefused,
    FlowSession,
    Parked,
    Request,
    SessionEnded,
    SessionLost,
    Sleep,
    TimedOut,
    Untrusted,
)
from flows.registry import Registry
from flows.step import Handlers, StepContext
from states.errors import LedgerError
from states.identity import Party


class Word(msgspec.Struct, frozen=True, array_like=True, tag="word"):
    """One word."""

    text: str


class Words(msgspec.Struct, frozen=True, array_like=True, tag="words"):
    """What a flow heard."""

    heard: tuple[str, ...]


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number"):
    """One number."""

    value: int


class Count(Request[Number], frozen=True, array_like=True, tag="count"):
    """Add one to the row of that name, and say how often that was done."""

    answers: ClassVar[type[msgspec.Struct]] = Number
    name: str


class Fail(Request[Number], frozen=True, array_like=True, tag="fail"):
    """Write a row, and raise."""

    answers: ClassVar[type[msgspec.Struct]] = Number
    how: str


class MakePart(Request[Word], frozen=True, array_like=True, tag="make-part"):
    """Keep bytes; the word is the hex of the row's id."""

    answers: ClassVar[type[msgspec.Struct]] = Word
    size: int


class PartSize(Request[Number], frozen=True, array_like=True, tag="part-size"):
    """How many bytes has a part? Below 0 if it is gone."""

    answers: ClassVar[type[msgspec.Struct]] = Number
    part: bytes


class Doubt(Request[Number], frozen=True, array_like=True, tag="doubt"):
    """Say that a transaction may have been notarised, or that all is settled."""

    answers: ClassVar[type[msgspec.Struct]] = Number
    settled: bool


class Chat(msgspec.Struct, frozen=True, array_like=True, tag="chat/1"):
    """Say `times` words to the echo, one at a time, and return what came back."""

    party: Party
    times: int

    async def call(self, flow: FlowContext) -> Words:
        session = flow.initiate(self.party, Echo.name, Word("hello"))
        heard = []
        for number in range(self.times):
            session.send(Word(f"word {number}"))
            said = await session.receive(Word)
            heard.append(said.check(lambda word: word.text))
            await Count("chat")
            flow.progress(f"heard {number}")
        session.send(Word("bye"))
        return Words(tuple(heard))


class Echo:
    """Say each word back until it is "bye"."""

    name: ClassVar[str] = "echo/1"
    first: ClassVar[type[msgspec.Struct]] = Word

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Word]) -> Number:
        await Count("echo-sessions")
        times = 0
        while True:
            said = (await session.receive(Word)).check(lambda word: word.text)
            if said == "bye":
                return Number(times)
            await Count("echo")
            session.send(Word(said + "!"))
            times += 1


class Refuse:
    """Refuse whatever is said."""

    name: ClassVar[str] = "refuse/1"
    first: ClassVar[type[msgspec.Struct]] = Word

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Word]) -> Number:
        how = first.check(lambda word: word.text)
        if how == "politely":
            await Count("refused")
            raise FlowRefused("no-consent", "there is no consent for this")
        if how == "secretly":
            raise LedgerError("the patient's name is Ada")
        return Number(0)


class Postbox:
    """Take a letter."""

    name: ClassVar[str] = "postbox/1"
    first: ClassVar[type[msgspec.Struct]] = Word

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Word]) -> Number:
        await Count("letter " + first.check(lambda word: word.text))
        return await PartSize(first.parts[0]) if first.parts else Number(0)


class Silent:
    """Wait for an event named "speak", and say its body."""

    name: ClassVar[str] = "silent/1"
    first: ClassVar[type[msgspec.Struct]] = Word

    async def call(self, flow: FlowContext, session: FlowSession, first: Untrusted[Word]) -> Number:
        body = await AwaitEvent("speak", 0)
        session.send(Word(body.decode()))
        heard = 0
        while True:
            try:
                await session.receive(Word)
                heard += 1
            except (SessionEnded, SessionLost, CounterpartyFailed):
                return Number(heard)


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask/1"):
    """Say one word to a responder, and return what came of it, as a word."""

    party: Party
    responder: str
    word: str
    until: int = 0

    async def call(self, flow: FlowContext) -> Word:
        session = flow.initiate(self.party, self.responder, Word(self.word))
        try:
            said = await session.receive(Word, self.until)
        except CounterpartyFailed as failed:
            return Word(f"failed {failed.code}: {failed.public}")
        except SessionEnded:
            return Word("ended")
        except SessionLost:
            return Word("lost")
        except TimedOut:
            return Word("timed out")
        return Word(said.check(lambda word: word.text))


class AskPlainly(msgspec.Struct, frozen=True, array_like=True, tag="ask-plainly/1"):
    """Say one word to a responder, and expect nothing but its answer."""

    party: Party
    responder: str

    async def call(self, flow: FlowContext) -> Word:
        said = await flow.initiate(self.party, self.responder, Word("x")).receive(Word)
        return said.check(lambda word: word)


class SendLetter(msgspec.Struct, frozen=True, array_like=True, tag="send-letter/1"):
    """Send a letter, with a part of so many bytes unless 0."""

    party: Party
    responder: str
    word: str
    size: int = 0

    async def call(self, flow: FlowContext) -> Number:
        parts: tuple[bytes, ...] = ()
        if self.size:
            made = await MakePart(self.size)
            parts = (bytes.fromhex(made.text),)
        flow.letter(self.party, self.responder, Word(self.word), parts)
        return Number(1)


class PassOn(msgspec.Struct, frozen=True, array_like=True, tag="pass-on/1"):
    """Wait for an event named "speak", and send its body as a letter."""

    party: Party

    async def call(self, flow: FlowContext) -> Number:
        said = await AwaitEvent("speak", 0)
        flow.letter(self.party, Postbox.name, Word(said.decode()))
        return Number(1)


class Flood(msgspec.Struct, frozen=True, array_like=True, tag="flood/1"):
    """Send many words at once to a responder that does not listen."""

    party: Party
    times: int

    async def call(self, flow: FlowContext) -> Word:
        session = flow.initiate(self.party, Silent.name, Word("x"))
        for number in range(self.times):
            session.send(Word(str(number)))
        try:
            await session.receive(Word)
        except SessionLost:
            return Word("lost")
        return Word("heard")


class Nap(msgspec.Struct, frozen=True, array_like=True, tag="nap/1"):
    """Sleep until a time, twice."""

    until: int

    async def call(self, flow: FlowContext) -> Number:
        await Sleep(self.until)
        await Sleep(self.until + 1_000)
        return Number(2)


class Patience(msgspec.Struct, frozen=True, array_like=True, tag="patience/1"):
    """Wait for an answer until a time, then for the notary's, then for a long time."""

    party: Party
    until: int

    async def call(self, flow: FlowContext) -> Word:
        session = flow.initiate(self.party, Silent.name, Word("x"))
        try:
            await session.receive(Word, self.until)
        except TimedOut:
            await Count("patience")
        session.send(Word("still there?"))
        answer = await AskNotary("status", b"row")
        await Sleep(self.until * 2)
        return Word(type(answer).__name__)


class Approve(msgspec.Struct, frozen=True, array_like=True, tag="approve/1"):
    """Wait for two approvals, the second until a time."""

    until: int

    async def call(self, flow: FlowContext) -> Words:
        first = await AwaitEvent("approved", 0)
        try:
            second = await AwaitEvent("approved", self.until)
        except TimedOut:
            return Words((first.decode(), "too late"))
        return Words((first.decode(), second.decode()))


class Notarise(msgspec.Struct, frozen=True, array_like=True, tag="notarise-something/1"):
    """Ask the notary, and then do as `then` says."""

    then: str

    async def call(self, flow: FlowContext) -> Word:
        answer = await AskNotary("notarise", b"row")
        if self.then == "wait":
            await AwaitEvent("go", 0)
        if self.then == "break":
            raise LedgerError("the receipt is wrong")
        if self.then == "settle":
            await Doubt(settled=True)
            raise LedgerError("something else, later")
        if self.then == "refuse":
            await Count("dropped")
            raise FlowRefused("conflict", "it was consumed")
        return Word(type(answer).__name__)


class Stumble(msgspec.Struct, frozen=True, array_like=True, tag="stumble/1"):
    """Count, and then let a request fail in that way."""

    how: str

    async def call(self, flow: FlowContext) -> Number:
        await Sleep(1)
        await Count("stumble")
        return await Fail(self.how)


class Wander(msgspec.Struct, frozen=True, array_like=True, tag="wander/1"):
    """Await something that is not the engine's, or park."""

    how: str

    async def call(self, flow: FlowContext) -> Number:
        if self.how == "park":
            raise Parked("the notary refused what was checked here")
        await Foreign()
        return Number(0)


class Foreign:
    """An awaitable of somebody else."""

    def __await__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as foreign as it gets
        yield "foreign"


def count(step: StepContext[Connection], request: Count) -> Number:
    step.unit.execute(
        "INSERT INTO counted VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1",
        (request.name,),
    )
    row = step.unit.execute("SELECT times FROM counted WHERE name = ?", (request.name,)).fetchone()
    return Number(row[0])


class Failures:
    """Fails as asked; "twice" fails two times and then no more."""

    def __init__(self) -> None:
        self.left = {"twice": 2, "unknown": 1_000, "refused": 1_000, "forever": 1_000}

    def __call__(self, step: StepContext[Connection], request: Fail) -> Number:
        count(step, Count("written by " + request.how))
        if self.left[request.how] > 0:
            self.left[request.how] -= 1
            if request.how == "refused":
                raise FlowRefused("no", "a handler says no")
            if request.how == "forever":
                raise OperationalError("database is locked")
            raise KeyError(request.how)
        return Number(1)


def make_part(step: StepContext[Connection], request: MakePart) -> Word:
    return Word(step.put_part(bytes(request.size)).hex())


def part_size(step: StepContext[Connection], request: PartSize) -> Number:
    body = step.read_part(request.part)
    return Number(-1 if body is None else len(body))


def doubt(step: StepContext[Connection], request: Doubt) -> Number:
    if request.settled:
        step.settled()
    else:
        step.may_be_notarised()
    return Number(0)


def handlers() -> Handlers[Connection]:
    made: Handlers[Connection] = Handlers()
    made.on(Count, count)
    made.on(Fail, Failures())
    made.on(MakePart, make_part)
    made.on(PartSize, part_size)
    made.on(Doubt, doubt)
    return made


REGISTRY = Registry(
    (
        Chat,
        Ask,
        AskPlainly,
        SendLetter,
        PassOn,
        Flood,
        Nap,
        Patience,
        Approve,
        Notarise,
        Stumble,
        Wander,
    ),
    (Echo, Refuse, Postbox, Silent),
)
