"""What the simulation's search for marks notices: else a disk full of them would pass."""

import base64
from collections.abc import Callable
from random import Random

import pytest

from tests.simulation.canaries import Canaries
from tests.simulation.disk import empty_disk
from tests.simulation.observer import Violation

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "in hex": lambda mark: mark.hex().encode(),
    "in base64 at 0": base64.b64encode,
    "in base64 at 1": lambda mark: base64.b64encode(b"x" + mark),
    "in base64 at 2": lambda mark: base64.b64encode(b"xy" + mark),
    "UTF-16LE": lambda mark: mark.decode().encode("utf-16-le"),
    "UTF-16BE": lambda mark: mark.decode().encode("utf-16-be"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mark_on_a_disk_is_found_in_this_form_where_it_may_not_be(form: str) -> None:
    canaries = Canaries(Random(1))
    mark = canaries.new("Mercy").encode()
    disk = empty_disk()
    disk.execute("CREATE TABLE kept (what BLOB)")
    disk.execute("INSERT INTO kept VALUES (?)", (b"before it" + FORMS[form](mark) + b"behind it",))
    files = (disk.serialize(),)
    canaries.search_every_form("on the disk of", "Mercy", files)
    with pytest.raises(Violation, match=form):
        canaries.search_every_form("on the disk of", "Riverside", files)
    canaries.search("on the disk of", "Riverside", files[0])  # plain, there is none


def test_a_mark_is_found_as_it_is() -> None:
    canaries = Canaries(Random(1))
    mark = canaries.new("Mercy").encode()
    canaries.search("on its way to", "Mercy", mark)
    with pytest.raises(Violation, match="Riverside"):
        canaries.search("on its way to", "Riverside", mark)
