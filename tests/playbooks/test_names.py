"""Names: one person is one name however it is written, and look-alikes are told apart only by machines."""

from __future__ import annotations

import pytest

from playbooks.names import looks, person, same_person


@pytest.mark.parametrize(
    "written",
    [
        "zoë",
        "  Zoë ",
        "ZOË",
        "zoe\u0308",  # decomposed
        "\uff5a\uff4f\u00eb",  # full width
        "zo\u200bë",  # zero-width space
        "zo\u202eë",  # right-to-left override
        "zoë\u00ad",  # soft hyphen
    ],
)
def test_one_person_is_one_name_however_it_is_written(written: str) -> None:
    """Case, width, space, encoding and what cannot be seen make no second person."""
    assert same_person(written, "zoë")
    assert person(person(written)) == person(written)


@pytest.mark.parametrize("other", ["zoe", "zo", "zoë2", "", "z oë"])
def test_another_name_is_another_person(other: str) -> None:
    """What can be told apart is told apart."""
    assert not same_person(other, "zoë")


@pytest.mark.parametrize("written", ["b\u043eb", "B\u00f6b", "b o b", "\uff42ob"])
def test_names_that_look_alike_look_the_same(written: str) -> None:
    """Letters of other scripts, accents and spaces do not make a name that a tired reader tells apart."""
    assert looks(written) == "bob"


def test_another_word_looks_different() -> None:
    """Only look-alikes are taken for one another."""
    assert len({looks(each) for each in ("bob", "rob", "carol", "\u6797", "\u0411\u043e\u0431")}) == 5
