"""Ids: what was opened is remembered, what a client makes up is not."""

import pytest

from app.graphql.cursors import KEY_BYTES
from app.graphql.limits import ID_CHARS_MAX
from app.graphql.schema.identifiers import GlobalIds, Named

IDS = GlobalIds(bytes(KEY_BYTES))


def remembered(ids: GlobalIds) -> int:
    return ids._opened.cache_info().currsize


def test_an_id_opens_to_what_was_sealed_and_is_remembered() -> None:
    ids = GlobalIds(bytes(KEY_BYTES))
    sealed = ids.seal("record", b"tx", 0)
    assert ids.open(sealed) == ids.open(sealed) == Named("record", (b"tx", 0))
    assert remembered(ids) == 1


@pytest.mark.parametrize(
    "made_up",
    [
        "\U0001f600" + "A" * 250_000,  # four bytes a character, if it were kept
        "A" * (ID_CHARS_MAX + 1),
        "A" * ID_CHARS_MAX,
        "AQ",
        "",
        "no Base64 !",
        str(IDS.seal("record", b"tx"))[:-1],
        str(GlobalIds(bytes(range(KEY_BYTES))).seal("record", b"tx")),
    ],
)
def test_what_a_client_makes_up_opens_nothing_and_is_not_kept(made_up: str) -> None:
    ids = GlobalIds(bytes(KEY_BYTES))
    assert ids.open(made_up) is None
    assert remembered(ids) == 0
