"""Who is who: the newest signed entry of each member, all versions of the parameters, and the removals."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from app.network.errors import MapDamaged, MapRefused, MapRule
from app.network.folder import MEMBER as MEMBER_FILES
from app.network.folder import PARAMETERS as PARAMETERS_FILES
from app.network.folder import REMOVAL as REMOVAL_FILES
from app.network.folder import MapFolder
from app.network.removal import SIGNED_REMOVAL, Removal, open_removal
from app.transport.dialling import parse_endpoint
from states.crypto.keys import Key
from states.encoding import encode
from states.errors import InvalidSignature, LedgerError, MalformedBytes
from states.identity import Party
from states.parameters import (
    MEMBER,
    SIGNED_MEMBER,
    SIGNED_PARAMETERS,
    Member,
    NetworkParameters,
    NotaryInfo,
    ParametersHistory,
    UnknownParameters,
    UnknownParty,
    open_member,
    open_parameters,
    parameters_id,
)

T = TypeVar("T")

Clock = Callable[[], int]
"""Milliseconds since 1970-01-01 UTC."""


class KnownParameters(ParametersHistory):
    """A history that grows; whoever verifies transactions holds this one object."""

    def __init__(self) -> None:
        super().__init__(())
        self.newest: NetworkParameters | None = None

    def add(self, id_: bytes, parameters: NetworkParameters) -> None:
        super().__init__([*self._by_id.items(), (id_, parameters)])
        self.newest = parameters

    def newest_first(self) -> list[NetworkParameters]:
        return [parameters for _, parameters in reversed(self._in_order)]


class NetworkMap:
    """A node's map; a `states.parameters.Directory` and the transport's `Peers`.

    What comes is verified, then written, then known. `network` is the pinned id: nothing else is believed.
    """

    def __init__(self, network: bytes, folder: MapFolder, clock: Clock) -> None:
        """Read the folder; raises MapDamaged where a file is not what it was."""
        self.network = network
        self.history = KnownParameters()
        self._folder = folder
        self._clock = clock
        self._published: dict[int, bytes] = {}
        self._members: dict[Party, Member] = {}
        self._entries: dict[Party, bytes] = {}
        self._removals: dict[Party, Removal] = {}
        self._signed_removals: dict[Party, bytes] = {}
        self._by_tls: dict[bytes, Party] = {}
        self._by_key: dict[Key, Party] = {}
        self._load()

    # -- what is asked ------------------------------------------------------------------------------------

    def parameters(self) -> NetworkParameters:
        """Return the parameters in force now; before the first begin, the first. Raises UnknownParameters."""
        try:
            return self.history.in_force(self._clock())[1]
        except UnknownParameters:
            known = self.history.newest_first()
            if not known:
                raise
            return known[-1]

    def identity_keys(self, party: Party, at: int) -> frozenset[Key]:
        """Return the keys that may sign for `party` at `at`, also of a past member; raises UnknownParty."""
        member = self._members.get(party)
        keys = member.keys_at(at) if member is not None else frozenset()
        removal = self._removal_of(party)
        if not keys or (removal is not None and at >= removal.at):
            raise UnknownParty(party)
        return keys

    def party_of_key(self, key: Key) -> Party | None:
        """Return the member whose identity key this is or was."""
        return self._by_key.get(key)

    def is_member(self, party: Party) -> bool:
        """Whether the party is in the network now."""
        member = self._members.get(party)
        removal = self._removal_of(party)
        removed = removal is not None and self._clock() >= removal.at
        return member is not None and member.active and not removed

    def member(self, party: Party) -> Member:
        """Return a member of now; raises UnknownParty."""
        member = self.known(party)
        if member is None:
            raise UnknownParty(party)
        return member

    def known(self, party: Party) -> Member | None:
        """Return a member of now; None for every other party."""
        return self._members[party] if self.is_member(party) else None

    def members(self) -> tuple[Member, ...]:
        """Return the members of now, in order of their DIDs."""
        return tuple(
            self._members[party] for party in sorted(self._members) if self.is_member(party)
        )

    def holder_of_tls(self, pin: bytes) -> Member | None:
        party = self._by_tls.get(pin)
        return self._members[party] if party is not None and self.is_member(party) else None

    def endpoints(self, party: Party) -> tuple[str, ...]:
        """Return where a member is reached; raises UnknownParty."""
        return self.member(party).endpoints

    def notaries(self) -> tuple[NotaryInfo, ...]:
        """Return the notaries of now that are members."""
        return tuple(n for n in self.parameters().notaries if self.is_member(Party(n.party)))

    def entry(self, party: Party) -> bytes:
        """Return the newest signed entry, as a proof bundle carries it; raises UnknownParty."""
        try:
            return self._entries[party]
        except KeyError:
            raise UnknownParty(party) from None

    def latest(self, party: Party) -> Member | None:
        """Return the newest entry of a member of now or of the past."""
        return self._members.get(party)

    # -- for the exchange with others -----------------------------------------------------------------------

    def published(self) -> dict[int, bytes]:
        """Return the signed parameters by version."""
        return dict(self._published)

    def entries(self) -> dict[Party, tuple[int, bytes]]:
        """Return (serial number, signed entry) of each member of now or of the past."""
        return {party: (self._members[party].serial, data) for party, data in self._entries.items()}

    def removals(self) -> dict[Party, tuple[int, bytes]]:
        """Return (serial number that ended, signed removal) of each member that was removed."""
        return {
            party: (self._removals[party].serial, data)
            for party, data in self._signed_removals.items()
        }

    # -- what comes --------------------------------------------------------------------------------------------

    def take_parameters(self, data: bytes) -> bool:
        """Take signed parameters; return whether they are new. Raises a LedgerError, and has changed nothing."""
        parameters = self._judged_parameters(data)
        if parameters is None:
            return False
        self._folder.keep_parameters(parameters.version, data)
        self._know_parameters(parameters, data)
        return True

    def take_member(self, data: bytes) -> bool:
        """Take a signed entry; return whether it is new. Raises a LedgerError, and has changed nothing."""
        if self.history.newest is None:
            raise MapRefused(MapRule.PARAMETERS_FIRST, "a map entry")
        member = open_member(SIGNED_MEMBER.decode(data), self.parameters())
        party = Party(member.party)
        if self._entries.get(party) == data:
            return False
        self._judge_member(member)
        self._folder.keep_member(party, data)
        self._know_member(member, data)
        return True

    def take_removal(self, data: bytes) -> bool:
        """Take a signed removal; return whether it is new. Raises a LedgerError, and has changed nothing."""
        if self.history.newest is None:
            raise MapRefused(MapRule.PARAMETERS_FIRST, "a removal")
        removal = open_removal(SIGNED_REMOVAL.decode(data), self.parameters())
        party = Party(removal.party)
        known = self._removals.get(party)
        if known is not None and known.serial >= removal.serial:
            return False
        if party not in self._members:
            raise MapRefused(MapRule.MEMBER_KNOWN, party)
        self._folder.keep_removal(party, data)
        self._know_removal(removal, data)
        return True

    # -- judging -------------------------------------------------------------------------------------------------

    def _judged_parameters(self, data: bytes) -> NetworkParameters | None:
        """Return parameters that may be added; None for those that are known."""
        parameters = open_parameters(SIGNED_PARAMETERS.decode(data), self.network)
        what = f"version {parameters.version} of the parameters"
        known = self._published.get(parameters.version)
        if known is not None:
            if SIGNED_PARAMETERS.decode(known).body != SIGNED_PARAMETERS.decode(data).body:
                raise MapRefused(MapRule.ONE_OF_A_VERSION, what)
            return None
        newest = self.history.newest
        expected = 1 if newest is None else newest.version + 1
        begins_later = newest is None or parameters.from_time > newest.from_time
        if parameters.version != expected or not begins_later:
            raise MapRefused(MapRule.NEWER_VERSION, what)
        return parameters

    def _judge_member(self, member: Member) -> None:
        party = Party(member.party)
        for endpoint in member.endpoints:
            try:
                parse_endpoint(endpoint)
            except MalformedBytes as refused:
                raise MapRefused(MapRule.ENDPOINTS_READABLE, party) from refused
        self._require_own_keys(member)
        removal = self._removals.get(party)
        former = self._members.get(party)
        if former is None or former == member:
            return
        if removal is not None and former.serial <= removal.serial >= member.serial:
            raise MapRefused(MapRule.NOT_REMOVED, party)
        if former.serial == member.serial:
            raise MapRefused(MapRule.ONE_OF_A_VERSION, party)
        if former.serial > member.serial:
            raise MapRefused(MapRule.NEWER_SERIAL, party)
        _require_history(former, member)

    def _require_own_keys(self, member: Member) -> None:
        party = Party(member.party)
        holders = [self._by_tls.get(member.tls_key, party)]
        holders += [self._by_key.get(identity.key, party) for identity in member.identity]
        if any(holder != party for holder in holders):
            raise MapRefused(MapRule.KEYS_OF_ONE, party)

    def _removal_of(self, party: Party) -> Removal | None:
        """Return the removal that ended the newest entry, if one did."""
        removal, member = self._removals.get(party), self._members.get(party)
        ended = removal is not None and member is not None and removal.serial >= member.serial
        return removal if ended else None

    # -- knowing ---------------------------------------------------------------------------------------------------

    def _know_parameters(self, parameters: NetworkParameters, data: bytes) -> None:
        self._published[parameters.version] = data
        self.history.add(parameters_id(SIGNED_PARAMETERS.decode(data).body), parameters)

    def _know_member(self, member: Member, data: bytes) -> None:
        party = Party(member.party)
        former = self._members.get(party)
        if former is not None:
            self._by_tls.pop(former.tls_key, None)
        self._members[party] = member
        self._entries[party] = data
        self._by_tls[member.tls_key] = party
        self._by_key.update((identity.key, party) for identity in member.identity)

    def _know_removal(self, removal: Removal, data: bytes) -> None:
        self._removals[Party(removal.party)] = removal
        self._signed_removals[Party(removal.party)] = data

    def _load(self) -> None:
        for path, data in self._folder.read(PARAMETERS_FILES):
            try:
                parameters = self._judged_parameters(data)
            except LedgerError as refused:
                raise MapDamaged(path, str(refused)) from refused
            if parameters is not None:
                self._know_parameters(parameters, data)
        versions = self.history.newest_first()
        for path, data in self._folder.read(REMOVAL_FILES):
            try:
                signed = SIGNED_REMOVAL.decode(data)
                self._know_removal(_first(versions, partial(open_removal, signed)), data)
            except LedgerError as refused:
                raise MapDamaged(path, str(refused)) from refused
        for path, data in self._folder.read(MEMBER_FILES):
            try:
                entry = SIGNED_MEMBER.decode(data)
                member = _first(versions, partial(open_member, entry))
                self._judge_member(member)
            except LedgerError as refused:
                raise MapDamaged(path, str(refused)) from refused
            self._know_member(member, data)


def _first(versions: Iterable[NetworkParameters], open_by: Callable[[NetworkParameters], T]) -> T:
    """Open by the newest parameters by which it can be opened: its operator may have left since."""
    last: LedgerError = InvalidSignature("map", "there are no parameters to judge it by")
    for parameters in versions:
        try:
            return open_by(parameters)
        except InvalidSignature as refused:
            last = refused
    raise last


def _require_history(former: Member, member: Member) -> None:
    """Keys may be added and may end; none disappears, begins anew, or lives longer than was said."""
    now = _lifetimes(member)
    for key, until in _lifetimes(former).items():
        if now.get(key, until + 1) > until:
            raise MapRefused(MapRule.HISTORY_KEPT, Party(member.party))


def _lifetimes(member: Member) -> dict[tuple[bytes, int], int]:
    """The ends of all keys that have a history, by their bytes and beginnings."""
    signing = {(encode(each.key), each.from_time): each.until_time for each in member.identity}
    return signing | {(each.raw, each.from_time): each.until_time for each in member.reading_log}


def decode_entry(data: bytes) -> Member:
    """Read a signed entry without judging it, to show it. Raises MalformedBytes."""
    return MEMBER.decode(SIGNED_MEMBER.decode(data).body)
