"""The estate at the terminal: the inventory, what is not in it, what a leak reaches, and what the doctor finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_terminal import answer, text
from small_shop import Shop

from console.output import ExitCode

pytestmark = pytest.mark.usefixtures("a_quiet_place")


def test_the_inventory_is_checked_before_it_replaces_the_old_one(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake is told with file and line, and leaves the old estate in force; a good file keeps it as .previous."""
    before = at_work.estate.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nkeys:\n  - ref: aws-kms:cloud/k\n    porpose: sign\n", encoding="utf-8")
    code, _, err = text(capsys, "inventory", "import", str(wrong))
    assert (code, "wrong.yaml:4: keys.0.porpose" in err) == (ExitCode.USAGE, True)
    for bad in (tmp_path / "absent.yaml", tmp_path):
        assert text(capsys, "inventory", "import", str(bad))[0] == ExitCode.USAGE
    assert at_work.estate.read_text(encoding="utf-8") == before

    good = tmp_path / "good.yaml"
    good.write_text("version: 1\nkeys:\n  - ref: aws-kms:cloud/other\n", encoding="utf-8")
    code, document = answer(capsys, "inventory", "import", str(good))
    assert (code, document["keys"]) == (ExitCode.OK, 1)
    assert at_work.estate.with_name("estate.yaml.previous").read_text(encoding="utf-8") == before
    assert "aws-kms:cloud/other" in text(capsys, "inventory", "show")[1]


def test_the_inventory_shows_what_is_listed_and_discovers_what_is_not(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that the backend holds and nobody wrote down is marked."""
    code, out, _ = text(capsys, "inventory", "show")
    assert (code, at_work.key in out, at_work.credential in out) == (ExitCode.OK, True, True)
    stray = f"aws-kms:cloud/{at_work.account.create_key('nobody wrote this down')}"
    code, document = answer(capsys, "inventory", "discover", "cloud")
    assert code == ExitCode.OK
    assert stray in document["unlisted"]
    assert at_work.key not in document["unlisted"]
    assert f"+ {stray}" in text(capsys, "inventory", "discover")[1]
    code, _, err = text(capsys, "inventory", "discover", "clowd")
    assert (code, "Configured: cloud, docs, services" in err) == (ExitCode.USAGE, True)


def test_the_blast_radius_names_what_is_reached_and_what_is_not_known(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a credential to its keys, their data and its user."""
    code, out, _ = text(capsys, "blast-radius", at_work.credential)
    assert code == ExitCode.OK
    for reached in (at_work.key, "files:docs/invoices", "svc-app"):
        assert reached in out
    assert answer(capsys, "blast-radius", at_work.credential)[0] == ExitCode.OK
    assert text(capsys, "blast-radius", "nonsense")[0] == ExitCode.USAGE


def test_doctor_is_content_with_a_shop_that_works_and_names_what_does_not(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when a response could start; 1 and the fault when it could not."""
    code, document = answer(capsys, "doctor")
    assert (code, document["healthy"]) == (ExitCode.OK, True), document
    (at_work.root / "secrets" / "svc.old.json").unlink()
    code, out, _ = text(capsys, "doctor")
    assert code == ExitCode.FAILED
    assert f"✘ {at_work.credential}" in out
