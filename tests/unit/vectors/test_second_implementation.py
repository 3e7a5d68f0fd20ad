"""The second implementation agrees with its vectors, and with data that others published."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.vectors.second import digests, ed25519, merkle, msgpack, note
from tests.vectors.second.fields import (
    Object,
    as_object,
    as_text,
    list_of,
    number_of,
    text_of,
    unhex,
)
from tests.vectors.second.generate import FILES, FOLDER, text
from tests.vectors.second.keys import ED25519, P256, read_did
from tests.vectors.second.operations import evaluate
from tests.vectors.second.receipt import read_proof
from tests.vectors.second.refusal import Refused

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "vectors"


def outside(*parts: str) -> Path:
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"missing: shared/data/vectors/{'/'.join(parts)}")
    return path


def read(path: Path) -> Object:
    raw = path.read_bytes()
    plain = gzip.decompress(raw) if path.suffix == ".gz" else raw
    loaded: Object = json.loads(plain)
    return loaded


def vectors(file: str) -> list[Object]:
    return [as_object(one) for one in list_of(read(FOLDER / f"{file}.json"), "vectors")]


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_what_the_generator_writes(file: str) -> None:
    assert (FOLDER / f"{file}.json").read_text(encoding="utf-8") == text(file)


def test_no_file_of_vectors_stands_outside_the_generator() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_each_vector_as_it_stands_in_the_file_has_its_outcome(file: str) -> None:
    for vector in vectors(file):
        outcome = evaluate(file, as_object(vector["input"]))
        assert outcome == {name: vector[name] for name in outcome}, vector["name"]


@pytest.mark.parametrize("file", sorted(set(FILES) - {"digests", "locks"}))
def test_each_file_both_accepts_and_refuses(file: str) -> None:
    assert {vector["outcome"] for vector in vectors(file)} == {"accepted", "refused"}


def test_every_tear_off_of_a_shape_leads_to_the_id_of_its_whole() -> None:
    ids = {
        text_of(one, "name"): as_object(one["expected"])["id"]
        for one in vectors("transactions")
        if one["outcome"] == "accepted"
    }
    compared = 0
    for vector in [*vectors("tearoffs"), *vectors("structures")]:
        shape = text_of(vector, "name").rpartition(": ")[0]
        if vector["outcome"] == "accepted" and shape in ids:
            assert as_object(vector["expected"])["id"] == ids[shape]
            compared += 1
    assert compared == 32  # eight shapes; three tear-offs and one structure of each


def test_hiding_a_seal_changes_no_id() -> None:
    ids = {one["name"]: as_object(one["expected"]) for one in vectors("transactions")[:8]}
    shown = ids["inputs, references, seals"]["id"]
    assert shown == ids["one seal by its leaf hash"]["id"]
    assert shown == ids["all seals by their leaf hashes"]["id"]


@pytest.mark.parametrize("file", ["encodings", "components", "tearoffs", "openings", "messages"])
def test_a_messagepack_library_writes_each_accepted_value_alike(file: str) -> None:
    accepted = [one for one in vectors(file) if one["outcome"] == "accepted"]
    for vector in accepted:
        data = unhex(text_of(as_object(vector["input"]), "hex"))
        assert msgspec.msgpack.encode(msgpack.decode(data)) == data, vector["name"]
        assert msgpack.encode(msgpack.decode(data)) == data, vector["name"]
    assert accepted


def test_ed25519_decides_as_wycheproof_does() -> None:
    groups = list_of(read(outside("wycheproof", "ed25519_test.json.gz")), "testGroups")
    outcomes = set()
    for group in map(as_object, groups):
        public = bytes.fromhex(text_of(as_object(group["publicKey"]), "pk"))
        for case in map(as_object, list_of(group, "tests")):
            message, signature = (bytes.fromhex(text_of(case, part)) for part in ("msg", "sig"))
            outcome = "valid" if ed25519.verify(public, message, signature) else "invalid"
            assert outcome == case["result"], case["comment"]
            outcomes.add(outcome)
    assert outcomes == {"valid", "invalid"}


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [  # RFC 8032 §7.1, tests 1 to 3
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)
def test_ed25519_signs_as_its_rfc_does(
    seed: str, public: str, message: str, signature: str
) -> None:
    assert ed25519.public_key(bytes.fromhex(seed)).hex() == public
    assert ed25519.sign(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature


def test_hkdf_derives_as_wycheproof_does() -> None:
    groups = list_of(read(outside("wycheproof", "hkdf_sha256_test.json.gz")), "testGroups")
    compared = 0
    for group in map(as_object, groups):
        for case in map(as_object, list_of(group, "tests")):
            if case["size"] != 32 or case["result"] != "valid":
                continue
            secret, salt, info, okm = (
                bytes.fromhex(text_of(case, part)) for part in ("ikm", "salt", "info", "okm")
            )
            assert digests.rfc5869(secret, salt, info) == okm
            compared += 1
    assert compared > 5


@pytest.mark.parametrize(("curve", "scheme"), [("ed25519", ED25519), ("secp256r1", P256)])
def test_dids_name_the_published_keys(curve: str, scheme: int) -> None:
    for path in sorted(outside("did-key", curve).glob("*.json")):
        document = as_object(as_object(read(path)["application/did+json"])["didDocument"])
        method = as_object(list_of(document, "verificationMethod")[0])
        x = base64.urlsafe_b64decode(text_of(as_object(method["publicKeyJwk"]), "x") + "=")
        named = read_did(text_of(document, "id"))
        assert (named.scheme, named.raw[-32:]) == (scheme, x)


def merkle_cases(kind: str) -> Iterator[Object]:
    for path in sorted(outside("merkle", kind).rglob("*.json")):
        yield read(path)


def proof_of(case: Object) -> list[bytes]:
    listed = case["proof"]
    hashes = [base64.b64decode(as_text(one)) for one in listed] if isinstance(listed, list) else []
    if any(len(one) != 32 for one in hashes):
        raise Refused("6.3", "a path that is not of hashes")
    return hashes


def included(case: Object) -> bool:
    leaf, root = (base64.b64decode(text_of(case, part)) for part in ("leafHash", "root"))
    index, size = number_of(case, "leafIdx"), number_of(case, "treeSize")
    try:
        found = merkle.root_of_path(leaf, index, size, proof_of(case))
    except Refused:
        return False
    return len(leaf) == 32 and found == root


def test_inclusion_proofs_are_judged_as_published() -> None:
    outcomes = set()
    for case in merkle_cases("inclusion"):
        assert included(case) is not case["wantErr"], case["desc"]
        outcomes.add(case["wantErr"])
    assert outcomes == {True, False}


def consistent(case: Object) -> bool:
    old, new = (base64.b64decode(text_of(case, part)) for part in ("root1", "root2"))
    earlier, later = number_of(case, "size1"), number_of(case, "size2")
    if not 0 < earlier <= later:
        return False  # the empty tree is a beginning of every tree: nothing to prove
    try:
        return merkle.roots_of_consistency(earlier, later, old, proof_of(case)) == (old, new)
    except Refused:
        return False


def test_consistency_proofs_are_judged_as_published() -> None:
    outcomes = set()
    for case in merkle_cases("consistency"):
        if number_of(case, "size1") == number_of(case, "size2") == 0:
            continue
        assert consistent(case) is not case["wantErr"], case["desc"]
        outcomes.add(case["wantErr"])
    assert outcomes == {True, False}


@pytest.mark.parametrize("size", range(1, 20))
def test_proofs_that_this_implementation_makes_lead_to_the_root(size: int) -> None:
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    root = merkle.root(hashes)
    for n in range(size):
        path = merkle.path(hashes, n)
        assert merkle.root_of_path(hashes[n], n, size, path) == root
        shown = {0: hashes[0], n: hashes[n], size - 1: hashes[-1]}
        proof = merkle.multiproof(hashes, frozenset(shown))
        assert merkle.root_of_multiproof(size, shown, proof) == root
        old = merkle.root(hashes[: n + 1])
        steps = merkle.consistency(hashes, n + 1)
        assert merkle.roots_of_consistency(n + 1, size, old, steps) == (old, root)


def specification(name: str) -> str:
    return outside("c2sp-specs", name).read_text(encoding="utf-8")


def block(name: str, first_line: str) -> str:
    """The code block of a C2SP specification that begins with this line."""
    _, _, behind = specification(name).partition(f"```\n{first_line}\n")
    return f"{first_line}\n{behind.partition('```')[0]}"


def test_the_note_of_the_specification_verifies_and_an_altered_one_does_not() -> None:
    signed = block("signed-note.md", "This is an example message.")
    line = next(
        line.strip()
        for line in specification("signed-note.md").splitlines()
        if "+530d903a+" in line
    )
    key = note.read_verifier_key(line)
    note.check_signed(note.read_note(signed), key)
    assert key.text == line
    with pytest.raises(Refused):
        note.check_signed(note.read_note(signed.replace("example m", "altered m")), key)


def test_the_checkpoint_of_the_specification_is_read() -> None:
    read_back = note.read_note(block("tlog-cosignature.md", "example.com/behind-the-sofa"))
    checkpoint = note.read_checkpoint(read_back.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text == read_back.text
    log, witness = read_back.signatures
    assert (log.name, len(log.raw)) == ("example.com/behind-the-sofa", 64)
    assert int.from_bytes(witness.raw[:8], "big") == 1_679_315_147  # as in its signed message
    message = note.cosigned_message(read_back.text, 1_679_315_147).decode()
    lines = [f"    {line}" for line in message.splitlines()]
    assert "\n".join(lines) in specification("tlog-cosignature.md")


def test_the_proof_of_the_specification_is_read_once_its_ellipses_are_filled() -> None:
    shown = block("tlog-proof.md", "c2sp.org/tlog-proof@v1")
    # The example's extra is no whole base64, and its signatures are cut short.
    extra = next(line for line in shown.split("\n") if line.startswith("extra "))
    whole = shown.replace(extra, "extra YWdl")
    whole = "\n".join(
        line.rpartition(" ")[0] + " AAAAAAAA" if line.startswith("— ") else line
        for line in whole.split("\n")
    )
    proof = read_proof(whole)
    assert (proof.extra, proof.index, len(proof.path)) == (b"age", 73_894, 5)
    assert note.read_checkpoint(proof.note.text).size == 109_482
    assert len(proof.note.signatures) == 4


def test_a_published_log_signed_the_roots_that_its_leaves_lead_to() -> None:
    about = read(outside("tlog", "tessera", "KEY-AND-LEAVES.json"))
    key = note.read_verifier_key(text_of(about, "verifier_key"))
    leaves = list_of(about, "leaves_utf8_in_order")
    hashes = [merkle.leaf_hash(as_text(leaf).encode()) for leaf in leaves]
    for size in range(len(hashes) + 1):
        path = outside("tlog", "tessera", "log", f"checkpoint.{size}")
        signed = note.read_note(path.read_text(encoding="utf-8"))
        note.check_signed(signed, key)
        checkpoint = note.read_checkpoint(signed.text)
        assert (checkpoint.size, checkpoint.root) == (size, merkle.root(hashes[:size]))
