"""The inventory's file: JSON is read quickly, and a mistake is named as well as in YAML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows import documents
from flows.documents import load_estate
from playbooks.errors import InvalidInput

KEY = "aws-kms:cloud/k1"


def write(place: Path, text: str) -> Path:
    place.write_text(text, encoding="utf-8")
    return place


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    """Also YAML that begins like JSON."""
    data = {"keys": [{"ref": KEY, "owner": "storage"}]}
    texts = (json.dumps(data), "keys:\n- {ref: 'aws-kms:cloud/k1', owner: storage}\n",
             "{keys: [{ref: 'aws-kms:cloud/k1', owner: storage}]}")  # fmt: skip
    assert len({load_estate(write(tmp_path / f"{n}", text)).model_dump_json() for n, text in enumerate(texts)}) == 1


def test_a_mistake_in_json_is_named_with_its_line(tmp_path: Path) -> None:
    """The fast reader knows no lines: the slow one finds them when they are needed."""
    place = write(tmp_path / "estate.json", '{\n "keys": [\n  {"ref": "aws-kms:cloud/k1", "ownr": "x"}\n ]\n}')
    with pytest.raises(InvalidInput, match=r"estate\.json:3: keys\.0\.ownr: there is no such field"):
        load_estate(place)


def test_a_mistake_in_big_json_is_named_by_its_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the line would take minutes."""
    monkeypatch.setattr(documents, "_BIG", 10)
    with pytest.raises(InvalidInput, match=r"estate\.json: keys\.0\.ownr: there is no such field"):
        load_estate(write(tmp_path / "estate.json", json.dumps({"keys": [{"ref": KEY, "ownr": "x"}]})))
    with pytest.raises(InvalidInput, match="this is not JSON"):
        load_estate(write(tmp_path / "estate.json", '{"keys": [}                '))


def test_a_field_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """In JSON too, where most readers take the last."""
    with pytest.raises(InvalidInput, match="given twice"):
        load_estate(write(tmp_path / "estate.json", '{"keys": [], "keys": []}'))


def test_a_big_inventory_is_kept_from_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects are frozen: a collection does not walk through them."""
    import gc

    monkeypatch.setattr(documents, "_MANY", 10)
    place = write(tmp_path / "estate.json", json.dumps({"keys": [{"ref": f"aws-kms:cloud/k{n}"} for n in range(50)]}))
    try:
        load_estate(place)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
