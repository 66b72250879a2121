"""Entries are found by words, each once and in the order of the inventory; indexes are made once for each estate."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from playbooks.estate import ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.estate_words import EstateWords
from playbooks.key_health import Healths, Weakness
from playbooks.latest import Latest
from playbooks.refs import CredentialRef, DatasetRef, KeyRef

WORDS = ("orders", "Billing", "ledger", "eu-west", "a", "b")


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    names = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True))
    keys = [KeyRef.parse(f"openbao:vault/transit/{name}") for name in names]
    owners = draw(st.lists(st.sampled_from(("", *WORDS)), min_size=len(keys), max_size=len(keys)))
    return Estate(
        keys=tuple(KeyEntry(ref=ref, owner=owner) for ref, owner in zip(keys, owners, strict=True)),
        datasets=(DatasetEntry(ref=DatasetRef.parse("files:docs/Ledger"), key=keys[0], envelope="esdk"),),
        credentials=(CredentialEntry(ref=CredentialRef.parse("aws-iam:cloud/svc/AKIA1"), consumer="shop"),),
        consumers=(ConsumerEntry(name="shop", owner="billing", uses=(keys[-1],)),),
    )


@given(estates(), st.lists(st.sampled_from((*WORDS, "shop", "key", "nothing")), max_size=3))
def test_an_entry_is_found_when_every_word_stands_in_it(estate: Estate, words: list[str]) -> None:
    """As if each entry was looked at by itself."""
    owner = {each.name: each.owner for each in estate.consumers}
    users = {each.ref: [c.name for c in estate.consumers if each.ref in c.uses] for each in estate.keys}
    texts = [
        *((each, f"key {each.ref} {each.purpose} {each.owner} {' '.join(users[each.ref])}") for each in estate.keys),
        *((each, f"credential {each.ref} {each.consumer} {owner[each.consumer]}") for each in estate.credentials),
        *((each, f"dataset {each.ref} {each.classification} {each.owner}") for each in estate.datasets),
    ]
    wanted = [each for each, text in texts if all(word.casefold() in text.casefold() for word in words)]
    assert list(EstateWords(estate).holding(words)) == wanted


def test_the_health_of_many_keys_is_that_of_each() -> None:
    """Counting, listing and leaving out agree, with keys that were drilled among those that were not."""
    refs = [KeyRef.parse(f"openbao:vault/transit/k{number:02d}") for number in range(30)]
    keys = tuple(
        KeyEntry(ref=ref, owner="me" if number % 3 else "", protecting_since=date(2020 + number % 5, 6, 1))
        for number, ref in enumerate(refs)
    )
    drilled = {str(ref) for ref in refs[::4]} | {"aws-iam:cloud/svc/AKIA1", "openbao:vault/transit/unlisted"}
    estate = Estate(keys=keys)
    assert Healths(estate, {}, drilled, today=date(2022, 6, 1)).count(Weakness.OVERDUE) == 0
    found = Healths(estate, {}, drilled, today=date(2025, 1, 1))
    assert found.count(Weakness.OVERDUE) == 18
    assert len(found) == len(list(found)) == 30
    assert sorted(each.ref for each in found) == sorted(map(str, refs))
    for weakness in Weakness:
        listed = list(found.having(weakness))
        assert len(listed) == found.count(weakness)
        assert all(weakness in each.weaknesses for each in listed)
    assert {each.ref for each in found if Weakness.NEVER_DRILLED not in each.weaknesses} == {
        str(ref) for ref in refs[::4]
    }
    order = list(Weakness)
    ranks = [[order.index(one) for one in each.weaknesses] for each in found if each.weaknesses]
    assert ranks == sorted(ranks)


def test_an_index_is_made_once_for_as_long_as_no_other_source_comes() -> None:
    """Sources are told apart by identity, not by what they hold."""
    made: list[object] = []
    kept: Latest[Estate, int] = Latest(lambda source: made.append(source) or len(made))
    first, second = Estate(), Estate()
    assert [kept.of(first), kept.of(first), kept.of(second), kept.of(first)] == [1, 1, 2, 3]
