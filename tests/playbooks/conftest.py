"""The incidents of ``cases`` as fixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from cases import CASES, Case


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each of the four incidents in turn."""
    return CASES[request.param]()


@pytest.fixture
def cases() -> Mapping[str, Callable[[], Case]]:
    """The four incidents by the name of their playbook."""
    return CASES
