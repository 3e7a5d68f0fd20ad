"""Encodings, digests and names: §1."""

from tests.vectors.second.cases.case import Case, accepted, did, key_of, refused, seeded
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import ED25519, P256, Key, did_of
from tests.vectors.second.msgpack import Value, encode

# 2^0 and 2^1 times the base point of P-256, compressed.
P256_G = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
P256_2G = "037cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"

_ACCEPTED: tuple[tuple[str, Value], ...] = (
    ("nil", None),
    ("false", False),
    ("true", True),
    ("0", 0),
    ("largest one-byte integer", 127),
    ("least two-byte integer", 128),
    ("largest u8", 255),
    ("least three-byte integer", 256),
    ("largest u16", 65_535),
    ("least five-byte integer", 65_536),
    ("largest u32", 2**32 - 1),
    ("least nine-byte integer", 2**32),
    ("largest u63", 2**63 - 1),
    ("empty string", ""),
    ("string", "encounter"),
    ("string of three scripts", "Zoë 病歴 🩺"),
    ("longest short string", "a" * 31),
    ("least str 8", "a" * 32),
    ("longest str 8", "a" * 255),
    ("least str 16", "a" * 256),
    ("string with a zero byte", "a\x00b"),
    ("empty byte string", b""),
    ("byte string", b"\x00\xff"),
    ("longest bin 8", bytes(255)),
    ("least bin 16", bytes(256)),
    ("empty array", ()),
    ("longest short array", tuple(range(15))),
    ("least array 16", tuple(range(16))),
    ("nested arrays", (("a", (b"b", (None, True))), 1)),
)

_NOT_SHORTEST = (
    ("0 as uint 8", "cc00"),
    ("127 as uint 8", "cc7f"),
    ("255 as uint 16", "cd00ff"),
    ("65,535 as uint 32", "ce0000ffff"),
    ("2^32 - 1 as uint 64", "cf00000000ffffffff"),
    ("5 as int 8", "d005"),
    ("-1 as int 8", "d0ff"),
    ("-32 as int 8", "d0e0"),
    ("-128 as int 16", "d1ff80"),
    ("200 as int 16", "d100c8"),
    ("70,000 as int 32", "d200011170"),
    ("2^40 as int 64", "d30000010000000000"),
    ("empty string as str 8", "d900"),
    ("31 characters as str 8", "d91f 61*31"),
    ("255 characters as str 16", "da00ff 61*255"),
    ("256 characters as str 32", "db00000100 61*256"),
    ("65,535 characters as str 32", "db0000ffff 61*65535"),
    ("empty byte string as bin 16", "c50000"),
    ("255 bytes as bin 16", "c500ff 00*255"),
    ("256 bytes as bin 32", "c600000100 00*256"),
    ("empty array as array 16", "dc0000"),
    ("15 items as array 16", "dc000f 00*15"),
    ("16 items as array 32", "dd00000010 00*16"),
    ("not shortest inside an array", "92a161cc01"),
)

_OUTSIDE = (
    ("empty map", "80"),
    ("map of one", "81a16101"),
    ("map 16", "de0000"),
    ("map 32", "df00000000"),
    ("float 32", "ca3f800000"),
    ("float 64", "cb3ff0000000000000"),
    ("fixext 1", "d40100"),
    ("fixext 4, a timestamp", "d6ff00000000"),
    ("ext 8", "c7010500"),
    ("ext 16", "c800010500"),
    ("ext 32", "c9000000010500"),
    ("the head that MessagePack never uses", "c1"),
    ("map inside an array", "9180"),
    ("UTF-8: a lone continuation byte", "a180"),
    ("UTF-8: an overlong slash", "a2c0af"),
    ("UTF-8: a surrogate", "a3eda080"),
    ("UTF-8: beyond U+10FFFF", "a4f4908080"),
    ("UTF-8: cut short", "a2e282"),
)

_CUT_OR_LONG = (
    ("nothing", ""),
    ("a byte behind nil", "c0c0"),
    ("a byte behind an array", "920102 00"),
    ("a string cut short", "a361"),
    ("a byte string cut short", "c403 0000"),
    ("an array cut short", "9301"),
    ("an integer cut short", "cd01"),
    ("a head cut short", "c501"),
    ("an array that claims 2^32 - 1 items", "ddffffffff"),
    ("a byte string that claims 2^32 - 1 bytes", "c6ffffffff"),
)


def encodings() -> list[Case]:
    cases = [accepted(name, "1.2", {"hex": encode(value).hex()}) for name, value in _ACCEPTED]
    cases += [refused(name, "1.2", {"hex": data}) for name, data in _NOT_SHORTEST]
    cases.append(
        refused(
            "300 as int 16",
            "1.2",
            {"hex": "d1012c"},
            note="As long as uint 16; numbers that are not negative have the unsigned heads.",
        )
    )
    cases += [refused(name, "1.1", {"hex": data}) for name, data in _OUTSIDE]
    return cases + [refused(name, "1.2", {"hex": data}) for name, data in _CUT_OR_LONG]


def digests() -> list[Case]:
    secret, transaction = seeded("secret").hex(), seeded("transaction").hex()

    def tagged(tag: str, x: str) -> Object:
        return {"function": "H", "tag": tag, "x": x}

    def derived(context: str, tag: str) -> Object:
        return {"function": "HKDF", "secret": secret, "context": context, "tag": tag}

    network: Object = {"function": "network id", "key": encode(key_of("founder").value).hex()}
    return [
        accepted("hash of nothing", "1.4", tagged("policy", "")),
        accepted("hash of bytes", "1.4", tagged("policy", transaction)),
        accepted("the same bytes under another tag", "1.4", tagged("lock", transaction)),
        accepted("a tag with a hyphen", "1.4", tagged("lock-signature", transaction)),
        accepted("derived, no context", "1.4", derived("", "lock-key")),
        accepted("derived, 32 zero bytes of context", "1.4", derived("00*32", "lock-key")),
        accepted("derived, a context", "1.4", derived(seeded("label", 16).hex(), "lock-key")),
        accepted("derived, another tag", "1.4", derived(seeded("label", 16).hex(), "lock-salt")),
        accepted("a network", "3.4", network | {"name": "carecord.example"}),
        accepted("a network of another name", "3.4", network | {"name": "Réseau santé"}),
        accepted("parameters", "3.4", {"function": "parameters id", "parameters": "93a161a16201"}),
        accepted("a spender", "4.6", {"function": "spender", "transaction": transaction}),
    ]


def dids() -> list[Case]:
    named = did("a party")
    p256 = did_of(Key(P256, bytes.fromhex(P256_G)))
    return [
        accepted("Ed25519", "1.5", {"did": named}),
        accepted("another Ed25519", "1.5", {"did": did("another party")}),
        accepted("P-256", "1.5", {"did": p256}),
        accepted("another P-256", "1.5", {"did": did_of(Key(P256, bytes.fromhex(P256_2G)))}),
        refused("another method", "1.5", {"did": "did:web:carecord.example"}),
        refused("another multibase", "1.5", {"did": "did:key:f" + named[9:]}),
        refused("no multibase", "1.5", {"did": "did:key:" + named[9:]}),
        refused("upper case scheme", "1.5", {"did": "DID:key:" + named[8:]}),
        refused("a letter that base58 has not", "1.5", {"did": named[:-1] + "0"}),
        refused("a character too many", "1.5", {"did": named + "2"}),
        refused("a character too few", "1.5", {"did": named[:-1]}),
        refused("a leading zero byte", "1.5", {"did": "did:key:z1" + named[9:]}),
        refused("Ed25519 of 31 bytes", "1.5", {"did": did_of(Key(ED25519, seeded("short", 31)))}),
        refused("Ed25519 of 33 bytes", "1.5", {"did": did_of(Key(ED25519, seeded("x") + b"x"))}),
        refused("P-256 of 32 bytes", "1.5", {"did": did_of(Key(P256, b"\x02" + bytes(31)))}),
        refused("P-256 that begins with 4", "1.5", {"did": did_of(Key(P256, b"\x04" * 33))}),
        refused("a fragment", "1.5", {"did": f"{named}#{named[8:]}"}),
        refused("a newline behind it", "1.5", {"did": named + "\n"}),
        refused("nothing behind the multibase", "1.5", {"did": "did:key:z"}),
        refused(
            "X25519", "1.5", {"did": "did:key:z6LSrdqo4M24WRDJj1h2hXxgtDTyzjjKCiyapYVgrhwZAySn"}
        ),
    ]
