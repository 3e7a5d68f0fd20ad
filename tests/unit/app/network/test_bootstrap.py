"""Claims about making networks and members: what leaves a node's folder, and who must sign."""

import stat
from pathlib import Path

import msgspec
import pytest

from app.keystore.errors import KeyExists
from app.keystore.file import open_key_store
from app.keystore.memory import SeededEntropy
from app.keystore.sealed_file import KdfCost
from app.network.bootstrap import (
    FOUNDING_FILE,
    KEY_FILE,
    REQUEST_FILE,
    TLS_FILE,
    NewNode,
    Passphrases,
    admit,
    countersign,
    init_node,
    read_request,
    request_entry,
)
from app.network.entries import Profile, notary_info, public_keys
from app.network.errors import FileRefused, FoundingKeyLocked, MapRefused, MapRule
from app.network.founding_key import create_founding_key, founding_party, open_founding_key
from app.network.removal import remove
from app.transport.certificate import open_tls_key, pin_of
from states.crypto.did import did_of
from states.errors import InvalidSignature, MalformedBytes
from tests.unit.app.network.towns import (
    FIRST,
    NETWORK,
    NOW,
    OPERATOR,
    Organisation,
    empty_map,
    founded_map,
)

CHEAP = KdfCost(memory_kib=128, iterations=1, lanes=1)
WORDS = Passphrases("key store words", "founding words", CHEAP)
PROFILE = Profile("Mercy", "hospital", ("mercy.example:7100",))
NOTARY = Profile("Notary", "notary", ("127.0.0.1:7200",), log="notary.example/log")


def _node(folder: Path, profile: Profile = PROFILE, seed: bytes = b"m") -> NewNode:
    return init_node(folder, NETWORK, profile, WORDS, SeededEntropy(seed * 32), NOW)


def test_a_node_makes_its_own_keys_and_asks_with_public_ones(tmp_path: Path) -> None:
    made = _node(tmp_path / "mercy")
    assert {path.name for path in (tmp_path / "mercy").iterdir()} == {
        KEY_FILE,
        FOUNDING_FILE,
        TLS_FILE,
        REQUEST_FILE,
    }
    entry, notary = read_request(made.request, NETWORK)
    keys = open_key_store(
        tmp_path / "mercy" / KEY_FILE, WORDS.key_store, SeededEntropy(b"later" * 8)
    )
    tls = open_tls_key(keys, (tmp_path / "mercy" / TLS_FILE).read_bytes())
    public = public_keys(keys, pin_of(tls.public_key()))
    assert (entry.identity[0].key, entry.box_key, entry.tls_key, entry.reading_log[0].raw) == (
        public.identity,
        public.box,
        public.tls_pin,
        public.reading_log,
    )
    assert entry.party == made.party == founding_party(tmp_path / "mercy" / FOUNDING_FILE)
    assert (entry.name, entry.kind, entry.serial, entry.active) == ("Mercy", "hospital", 1, True)
    assert notary is None


def test_no_private_key_is_in_what_a_node_hands_out_or_lies_open_in_its_folder(
    tmp_path: Path,
) -> None:
    drawn = list[bytes]()
    seeded = SeededEntropy(b"secret" * 6)

    def watched(size: int) -> bytes:
        drawn.append(seeded(size))
        return drawn[-1]

    made = init_node(tmp_path / "n", NETWORK, NOTARY, WORDS, watched, NOW)
    seeds = [value for value in drawn if len(value) == 32]
    assert len(seeds) >= 8  # four signing keys, box, lock, storage, founding, TLS
    files = {path.name: path.read_bytes() for path in (tmp_path / "n").iterdir()}
    for seed in seeds:
        assert seed not in made.request
        assert not [name for name, data in files.items() if seed in data or seed.hex() in str(data)]
    for path in (tmp_path / "n").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "n").stat().st_mode) == 0o700


def test_a_node_is_never_made_over_another(tmp_path: Path) -> None:
    _node(tmp_path / "mercy")
    before = {path: path.read_bytes() for path in (tmp_path / "mercy").iterdir()}
    with pytest.raises(KeyExists):
        _node(tmp_path / "mercy", seed=b"x")
    assert {path: path.read_bytes() for path in (tmp_path / "mercy").iterdir()} == before


def test_a_founding_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "founding.key"
    made = create_founding_key(path, "right", SeededEntropy(b"f" * 32), CHEAP)
    assert open_founding_key(path, "right").key == made.key
    assert founding_party(path) == did_of(made.key)
    with pytest.raises(FoundingKeyLocked):
        open_founding_key(path, "wrong")
    with pytest.raises(FileExistsError):
        create_founding_key(path, "right", SeededEntropy(b"g" * 32), CHEAP)
    assert open_founding_key(path, "right").key == made.key


def test_a_founding_key_file_that_was_altered_anywhere_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "founding.key"
    create_founding_key(path, "right", SeededEntropy(b"f" * 32), CHEAP)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(FoundingKeyLocked):
            open_founding_key(path, "right")


def test_a_founding_key_needs_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="passphrase"):
        create_founding_key(tmp_path / "f", "", SeededEntropy(b"f" * 32), CHEAP)
    assert not (tmp_path / "f").exists()


def test_a_notary_says_in_its_request_which_keys_sign_its_log(tmp_path: Path) -> None:
    made = _node(tmp_path / "notary", NOTARY)
    _, info = read_request(made.request, NETWORK)
    assert info == notary_info(made.keys, made.party, "notary.example/log")


def test_a_request_is_judged_before_it_is_countersigned(tmp_path: Path) -> None:
    mercy, riverside = Organisation(1), Organisation(2)
    operators_map = founded_map(tmp_path)
    good = request_entry(mercy.entry, mercy.founding)
    with pytest.raises(InvalidSignature):
        read_request(good, bytes(32))
    with pytest.raises(MalformedBytes):
        read_request(good[:-1], NETWORK)
    with pytest.raises(ValueError, match="founding key"):
        request_entry(mercy.entry, riverside.founding)
    altered = good.replace(b"organisation 1", b"organisation 7")
    assert altered != good
    with pytest.raises(InvalidSignature):
        countersign(altered, OPERATOR, operators_map)
    assert operators_map.members() == ()


def test_a_notarys_log_is_signed_too(tmp_path: Path) -> None:
    made = _node(tmp_path / "notary", NOTARY)
    altered = made.request.replace(b"notary.example/log", b"forger.example/log")
    assert altered != made.request
    with pytest.raises(InvalidSignature):
        read_request(altered, NETWORK)


def test_a_request_for_an_unknown_kind_of_node_is_not_made() -> None:
    mercy = Organisation(1)
    odd = msgspec.structs.replace(mercy.entry, kind="pharmacy")
    with pytest.raises(MalformedBytes):
        request_entry(odd, mercy.founding)


def test_an_operator_does_not_countersign_what_its_own_map_refuses(tmp_path: Path) -> None:
    mercy = Organisation(1)
    operators_map = founded_map(tmp_path)
    mercy.signed(operators_map)
    renamed = msgspec.structs.replace(mercy.entry, name="Mercy II")
    with pytest.raises(MapRefused) as refused:
        mercy.signed(operators_map, renamed)
    assert refused.value.rule is MapRule.ONE_OF_A_VERSION


def test_signed_files_are_admitted_in_any_order(tmp_path: Path) -> None:
    mercy, riverside = Organisation(1), Organisation(2)
    operators_map = founded_map(tmp_path / "operator")
    parts = {
        "a-removal": remove(riverside.entry, NOW, "", OPERATOR),
        "b-mercy": mercy.signed(operators_map),
        "c-riverside": riverside.signed(operators_map),
        "d-parameters": FIRST,
    }
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    joining = empty_map(tmp_path / "joining")
    assert admit(joining, *(tmp_path / name for name in parts)) == len(parts)
    assert joining.members() == (mercy.entry,)
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(FileRefused, match=r"holiday\.jpg: part of a map: neither") as refused:
        admit(joining, tmp_path / "holiday.jpg")
    assert isinstance(refused.value.refused, MalformedBytes)


def test_a_file_that_is_refused_is_named_and_those_before_it_are_taken(tmp_path: Path) -> None:
    mercy = Organisation(1)
    (tmp_path / "parameters").write_bytes(FIRST)
    signed = bytearray(mercy.signed(founded_map(tmp_path / "operator")))
    signed[-1] ^= 1
    (tmp_path / "mercy").write_bytes(signed)
    joining = empty_map(tmp_path / "joining")
    with pytest.raises(FileRefused) as refused:
        admit(joining, tmp_path / "mercy", tmp_path / "parameters")
    assert refused.value.path == tmp_path / "mercy"
    assert joining.history.newest is not None
