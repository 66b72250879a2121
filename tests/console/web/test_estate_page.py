"""The estate's page: what a leak reaches, what is not known, and never more than can be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from visiting import visiting
from web_office import CASE, CODENAME, ESTATE, KEY, WebOffice, web_office

from console.web.neighbourhood import MOST_IN_COLUMN, around, leading_to, whole
from playbooks.blast_radius import Graph, blast_radius
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind

_BIG = 300
PIN = "pkcs11-pin:sign-hsm/user"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, without a browser."""
    with web_office(tmp_path / "office") as found:
        found.case()
        yield found


def test_a_small_inventory_is_drawn_whole(office: WebOffice) -> None:
    """With the way to choose, and nothing lit."""
    text = visiting(office).get("/estate").text
    assert "This is the whole inventory" in text
    assert "<svg" in text
    assert 'class="lit"' not in text
    assert f'href="/estate?incident={CASE}"' in text


def test_a_key_is_asked_for_and_what_it_reaches_is_lit(office: WebOffice) -> None:
    """In a sentence, in the picture, and in words with every hop."""
    text = visiting(office).get("/estate", params={"exposed": KEY}).text
    assert "If it leaked, 1 certificate and 1 service would be in reach." in text
    assert 'class="lit"' in text
    assert "it can be forged" in text
    assert f"{KEY} signs through openbao-pki:vault/pki/7a-2f." in text
    assert "storefront has no channel: it must be told by hand" in text
    assert "credential, not reached" in text


def test_a_case_lights_what_it_has_as_exposed(office: WebOffice) -> None:
    """By its id or code name; a case that is not there is a 404 in words."""
    for word in (CASE, CODENAME):
        assert (
            f"{CODENAME} reaches 1 certificate and 1 service." in visiting(office).get(f"/estate?incident={word}").text
        )
    gone = visiting(office).get("/estate?incident=KQ-NO", headers={"accept": "text/html"})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    "uri", ["aws-kms:prod/none", "nonsense", "aws-kms:", "storefront", "openbao-pki:vault/pki/7a-2f"]
)
def test_what_cannot_be_asked_for_is_said(office: WebOffice, uri: str) -> None:
    """A key that nobody listed, and things that cannot leak."""
    page = visiting(office).get("/estate", params={"exposed": uri})
    assert page.status_code == 200
    assert "does not list it" in page.text


def test_search_finds_keys_and_credentials_by_name_and_owner(office: WebOffice) -> None:
    """Every word must be there."""
    assert "object%3Drelease" in visiting(office).get("/estate", params={"q": "RELEASE sign"}).text
    assert PIN in visiting(office).get("/estate", params={"q": "signer"}).text
    assert "has these words" in visiting(office).get("/estate", params={"q": "release nowhere"}).text


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """In names of the inventory and in what is asked for."""
    evil = {"name": "<script>alert(1)</script>\u202e", "owner": "", "uses": [KEY]}
    document = {**ESTATE, "consumers": [*ESTATE["consumers"], evil]}
    (office.root / "estate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    for params in ({"exposed": KEY}, {"q": '"><script>alert(1)'}, {"exposed": '"><script>alert(1)'}, {}):
        text = visiting(office).get("/estate", params=params).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_a_broken_inventory_is_said(office: WebOffice) -> None:
    """The page stays."""
    (office.root / "estate.yaml").write_text("keys: 3", encoding="utf-8")
    assert "The inventory cannot be read." in visiting(office).get("/estate").text


def big() -> Estate:
    """One key over 300 datasets, another one wrapped by it, and a service each."""
    key, below = "aws-kms:prod/root", "aws-kms:prod/below"
    return Estate.model_validate(
        {
            "keys": [{"ref": key, "owner": "a"}, {"ref": below, "wrapped_by": key, "owner": "a"}],
            "datasets": [
                {"ref": f"files:docs/{number:03}", "key": below if number % 2 else key, "envelope": "esdk"}
                for number in range(_BIG)
            ],
            "consumers": [{"name": "loop", "uses": [below], "datasets": ["files:docs/001"]}],
        }
    )


def test_much_is_counted_instead_of_drawn() -> None:
    """The nearest are drawn, and the picture says how many are not."""
    estate = big()
    graph = Graph(estate)
    exposed = "aws-kms:prod/root"
    radius = blast_radius(graph, [Exposure(kind=ExposureKind.KEY_MATERIAL, target=exposed, confidence=1)])
    picture = around(graph, radius, [exposed], leading_to(estate, [exposed]))
    drawn = [each for each in picture.boxes if each.kind == "dataset"]
    assert len(drawn) == MOST_IN_COLUMN
    assert picture.left_out == {"datasets": _BIG - MOST_IN_COLUMN}
    assert {each.state for each in picture.boxes} == {"exposed", "reached"}
    assert all(each.unknown for each in drawn)
    assert "aws-kms:prod/root wraps aws-kms:prod/below" in picture.words
    assert whole(estate) is None


def test_a_ring_of_wrapping_keys_is_drawn_all_the_same() -> None:
    """An inventory may say so, however odd."""
    one, two = "aws-kms:prod/one", "aws-kms:prod/two"
    estate = Estate.model_validate({"keys": [{"ref": one, "wrapped_by": two}, {"ref": two, "wrapped_by": one}]})
    picture = whole(estate)
    assert picture is not None
    assert len(picture.boxes) == 2
