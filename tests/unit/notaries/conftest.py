"""One desk an engine: what a test of the port claims, every engine has to keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.notaries.desk import Desk, provider_of


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    provider = provider_of(str(request.param), tmp_path)
    yield Desk(provider)
    provider.close()
