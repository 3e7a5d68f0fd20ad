"""CIDs are Kubo's, byte for byte, and only their one text is read."""

import json
from hashlib import sha256, shake_256
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.blobs.cid import CHUNK_SIZE, DAG_PB, RAW, Cid, CidBuilder, cid_of
from states.errors import MalformedBytes

VECTORS = Path(__file__).parents[3] / "vectors" / "cid"


class KuboVector(TypedDict):
    size: int
    chunk: int
    cid: str


CASES: list[KuboVector] = json.loads((VECTORS / "kubo.json").read_text("utf-8"))
SMALL = str(cid_of([b"record"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['size']}-by-{case['chunk']}")
def test_a_blob_has_the_cid_that_kubo_gives(case: KuboVector) -> None:
    content = shake_256(b"carecord cid vector").digest(case["size"])
    builder = CidBuilder(case["chunk"])
    builder.update(content)
    assert str(builder.finish()) == case["cid"]
    assert builder.size == case["size"]


def test_the_vectors_reach_every_shape_of_the_layout() -> None:
    leaves = {-(-case["size"] // case["chunk"]) for case in CASES}
    assert {0, 1, 2, 174, 175, 174 * 174, 174 * 174 + 1} <= leaves


@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 9))
def test_how_the_bytes_are_cut_does_not_matter(pieces: list[bytes], chunk: int) -> None:
    whole, cut = CidBuilder(chunk), CidBuilder(chunk)
    whole.update(b"".join(pieces))
    for piece in pieces:
        cut.update(piece)
    assert cut.finish() == whole.finish()


def test_leaves_given_by_their_digests_make_the_same_cid() -> None:
    content = shake_256(b"x").digest(3 * CHUNK_SIZE + 7)
    builder = CidBuilder()
    for at in range(0, len(content), CHUNK_SIZE):
        chunk = content[at : at + CHUNK_SIZE]
        builder.add_leaf(sha256(chunk).digest(), len(chunk))
    assert builder.finish() == cid_of([content])


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_text_and_bytes_lead_back(codec: int) -> None:
    cid = Cid(codec, sha256(b"x").digest())
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(bytes(cid)) == cid


@pytest.mark.parametrize(
    "text",
    [
        "",
        SMALL.upper(),
        SMALL + "a",
        SMALL[:-1],
        SMALL + "\n",
        " " + SMALL[1:],
        "z" + SMALL[1:],
        SMALL[:-1] + "7",  # the last character has bits beyond the 36 bytes
        "../" + SMALL[3:],
        "b" + "../" * 19 + "a",
        "bafyaa" + SMALL[6:],
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
    ],
)
def test_only_the_one_text_of_a_cid_is_read(text: str) -> None:
    with pytest.raises(MalformedBytes):
        Cid.parse(text)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_another_version_codec_or_hash_is_refused(at: int) -> None:
    data = bytearray(bytes(cid_of([b"x"])))
    data[at] ^= 0x01
    with pytest.raises(MalformedBytes):
        Cid.from_bytes(bytes(data))
