"""A pattern's end is the end of the text: `$` would also match before a last newline."""

import pytest

from states.encoding import Codec, encode
from states.errors import MalformedBytes
from states.sealed import Role
from states.state import ContractName
from states.subjects.codes import RoleCode
from states.subjects.content import BlobId, Day, ResourceType

SPELT = [
    (Role, "custodian"),
    (ContractName, "consent/1"),
    (RoleCode, "nurse"),
    (ResourceType, "Observation"),
    (Day, "2026-11-22"),
    (BlobId, "b" + "a" * 58),
]


@pytest.mark.parametrize(("kind", "text"), SPELT, ids=lambda value: str(value)[:12])
def test_a_name_with_a_newline_behind_it_is_another_and_refused(kind: type[str], text: str) -> None:
    codec = Codec(kind, "name", 128)
    assert codec.decode(encode(text)) == text
    with pytest.raises(MalformedBytes):
        codec.decode(encode(text + "\n"))
    with pytest.raises(MalformedBytes):
        codec.decode(encode(text[:-1] + "\n"))  # of the right length, where that is fixed
