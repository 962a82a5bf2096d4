"""Every vector of a scheme with code: what is genuine passes, everything else is refused with its reason."""

from typing import Any

import pytest

from app.core.catalog.proof import Genuine, NotGenuine
from app.core.catalog.schemes import SCHEMES
from tests.unit.catalog.vectors import VECTORS, credentials_of, freshness_of, request_of

MINE = [vector for vector in VECTORS if vector["scheme"] in SCHEMES]


@pytest.mark.parametrize("vector", MINE, ids=lambda vector: vector["id"])
def test_a_vector_gets_its_verdict(vector: dict[str, Any]) -> None:
    verify = SCHEMES[vector["scheme"]](credentials_of(vector), freshness_of(vector))
    verdict = verify(request_of(vector), vector["now"])
    assert isinstance(verdict, Genuine if vector["expect"] == "valid" else NotGenuine), verdict
