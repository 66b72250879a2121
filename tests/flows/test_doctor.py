"""Doctor: finds before the fire what would fail in it, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_shop import DATASET, SERVICE, Shop

from flows.doctor import Finding, examine


def found(findings: list[Finding], beginning: str) -> Finding:
    """The one finding whose subject begins so."""
    [one] = [each for each in findings if each.what.startswith(beginning)]
    return one


def test_every_entry_of_a_sound_estate_is_looked_at_and_found_sound(shop: Shop) -> None:
    """Settings, record, estate, key, dataset, credential, consumer, detectors, messengers."""
    findings = examine(shop.config)
    assert [each for each in findings if not each.ok] == []
    assert "active; can " in found(findings, shop.key).advice
    assert found(findings, DATASET).advice == "readable"
    assert found(findings, shop.credential).advice == "its end can be probed"
    assert found(findings, f"consumer {SERVICE}").ok
    assert "must be declared" in found(findings, "detectors").advice


def test_looking_changes_nothing(shop: Shop) -> None:
    """No incident, no policy, no file of the service."""
    before = sorted((shop.root / "services").rglob("*"))
    examine(shop.config)
    with shop.wiring() as wiring:
        assert list(wiring.records.incidents()) == []
    assert (shop.key_state(), shop.credential_active()) == ("Enabled", True)
    assert sorted((shop.root / "services").rglob("*")) == before


@pytest.mark.parametrize(
    ("wanted", "instead", "subject"),
    [
        ("svc.old.json", "gone.json", "aws-iam:"),
        (DATASET, "files:nowhere/invoices", "files:"),
        ("channel: services", "channel: carrier-pigeon", "consumer "),
        ("ref: aws-kms:cloud/", "ref: aws-kms:cloud/0", "aws-kms:"),
    ],
)
def test_a_fault_in_the_estate_is_found_and_named(shop: Shop, wanted: str, instead: str, subject: str) -> None:
    """One fault spoils only its own line; the rest is still looked at."""
    estate = shop.estate.read_text(encoding="utf-8")
    assert wanted in estate
    if subject == "aws-kms:":
        estate, wanted, instead = estate, shop.key, "aws-kms:cloud/00000000-0000-4000-8000-000000000000"
    shop.estate.write_text(estate.replace(wanted, instead), encoding="utf-8")
    findings = examine(shop.config)
    wrong = found(findings, subject)
    assert not wrong.ok
    assert wrong.advice
    assert found(findings, "messenger file").ok


def test_a_detector_that_cannot_start_is_named(shop: Shop) -> None:
    """A typing error in the settings would otherwise show as silence."""
    text = shop.config.read_text(encoding="utf-8")
    shop.config.write_text(text + "detectors: [{type: truffelhog, name: scanner}]\n", encoding="utf-8")
    detectors = found(examine(shop.config), "detector scanner")
    assert not detectors.ok
    assert "trufflehog" in detectors.advice


def test_a_recovery_identity_that_is_refused_is_found_before_it_is_needed(shop: Shop) -> None:
    """The most expensive fault of all: nothing could be contained."""
    text = shop.config.read_text(encoding="utf-8")
    lost = shop.root / "secrets" / "recovery.json"
    lost.write_text('{"access_key_id": "AKIAXXXXXXXXXXXXXXXX", "secret_access_key": "wrong"}', encoding="utf-8")
    place = next(line for line in text.splitlines() if "credential:" in line)
    shop.config.write_text(text.replace(place, f"    credential: file:{lost}"), encoding="utf-8")
    key = found(examine(shop.config), "aws-kms:")
    assert not key.ok


def test_missing_or_broken_settings_end_the_examination_early(tmp_path: Path) -> None:
    """What does not depend on them is still told."""
    findings = examine(tmp_path / "absent.yaml")
    assert [each.what for each in findings if not each.ok] == ["settings"]
    assert findings[0].what.startswith("Python")


def test_an_unusable_record_is_a_finding_and_its_password_is_not_shown(tmp_path: Path) -> None:
    """The URL may hold a password."""
    settings = tmp_path / "keyquell.yaml"
    settings.write_text(
        "state: state\nestate: estate.yaml\nrecords: postgresql://kq:hunter2@127.0.0.1:9/records\n", encoding="utf-8"
    )
    record = found(examine(settings), "record")
    assert not record.ok
    assert "hunter2" not in f"{record.what} {record.advice}"


ROSTER = """
people:
  - {name: ann, roles: [approve, retire]}
  - {name: bob, roles: [approve, retire]}
"""


def test_too_few_passkeys_are_found_before_they_are_needed(shop: Shop) -> None:
    """Two people hold the roles, neither could use them; the advice names the command for one of them."""
    (shop.root / "roster.yaml").write_text(ROSTER, encoding="utf-8")
    shop.config.write_text(shop.config.read_text(encoding="utf-8") + "roster: roster.yaml\n", encoding="utf-8")
    roster = found(examine(shop.config), "roster")
    assert not roster.ok
    assert "0 of 2 people" in roster.advice
    assert "keyquell roster enrol ann" in roster.advice


def test_a_web_page_to_which_no_browser_gives_a_passkey_is_found(shop: Shop) -> None:
    """Passkeys need https, except on this very machine."""
    text = shop.config.read_text(encoding="utf-8")
    shop.config.write_text(text + "web: {url: 'http://keys.example.org'}\n", encoding="utf-8")
    web = found(examine(shop.config), "web page")
    assert not web.ok
    assert "https" in web.advice


def test_one_detector_that_cannot_start_spoils_only_its_own_line(shop: Shop) -> None:
    """The others are looked at all the same."""
    text = shop.config.read_text(encoding="utf-8")
    good = f"{{type: trufflehog, name: good, folder: '{shop.root}'}}"
    shop.config.write_text(text + f"detectors: [{{type: truffelhog, name: bad}}, {good}]\n", encoding="utf-8")
    findings = examine(shop.config)
    assert not found(findings, "detector bad").ok
    assert found(findings, "detector good").ok
