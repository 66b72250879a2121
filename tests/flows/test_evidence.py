"""Evidence packs over a case with passkeys: what a good one shows, and that no other is believed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from approvers import CASE, Office, open_office, token_of

from flows import step_up
from flows.checkpoints import checkpoint, due, signer_of
from flows.evidence import Pack, make_pack, pack, verify_pack
from integrations.signers.installation_key import FILE, InstallationKey
from integrations.signers.signatures import fingerprint
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.event_bodies import CheckpointSigned
from playbooks.evidence.archive import read_archive, write_archive
from playbooks.evidence.contents import PASSKEY_KINDS
from playbooks.record import GENESIS, INSTALLATION, Event, EventKind

AUDITOR = Actor(account="dave", via="web")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's that bob approved by passkey, contained and closed."""
    with open_office(tmp_path) as office:
        office.enrol("bob")
        office.case()
        plan = office.wiring.incident(CASE).plan
        assert plan is not None
        token = token_of(step_up.ask(office.wiring, CASE, person="bob", digest=plan.digest, via="slack").link)
        options = step_up.look(office.wiring, token).options
        step_up.redeem(office.wiring, token, office.authenticators["bob"].get(options), address="10.0.0.7")
        office.write(EventKind.CONTAINED, probes=3)
        yield office


def packed(office: Office) -> Pack:
    return make_pack(office.wiring, AUDITOR, CASE)


def own_key(office: Office) -> InstallationKey:
    return InstallationKey.open(office.root / "state")


def chained(events: list[Event], **changed: Any) -> list[Event]:
    """The chain forged anew, with the body of the event ``seq`` changed."""
    prev, made = GENESIS, []
    for each in events:
        body = {**each.body, **changed["body"]} if each.seq == changed["seq"] else each.body
        made.append(Event.link(incident=each.incident, seq=each.seq, at=each.at, kind=each.kind, body=body, prev=prev))
        prev = made[-1].hash
    return made


def test_a_pack_proves_record_approval_and_checkpoint_with_nothing_but_the_file(office: Office) -> None:
    """Signature, chain, approval by passkey and checkpoint hold; whose key it is stays open until it is named."""
    made = packed(office)
    found = verify_pack(made.data)
    assert found.holds, found.failed
    assert (found.incident, found.head, found.signer) == (CASE, made.head, made.fingerprint)
    said = " ".join(found.proven)
    assert "unbroken chain" in said
    assert "1 decisions were signed by a passkey" in said
    assert "were signed by the key installation" in said
    assert any("Whose key" in each for each in found.open)


def test_a_key_that_the_reader_knows_closes_the_question_whose_it_is(office: Office, tmp_path: Path) -> None:
    """By fingerprint, with or without colons, or as a PEM file."""
    made = packed(office)
    pem = tmp_path / "known.pem"
    pem.write_text(own_key(office).public_key)
    colons = ":".join(made.fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    for known in (made.fingerprint, f"sha256:{made.fingerprint}", colons, str(pem)):
        found = verify_pack(made.data, trust=[known])
        assert found.holds
        assert not any("Whose key" in each for each in found.open)


def test_a_pack_of_a_key_that_is_not_trusted_fails(office: Office) -> None:
    """Whoever names a key wants that one."""
    found = verify_pack(packed(office).data, trust=["0" * 64])
    assert not found.holds
    with pytest.raises(InvalidInput, match="neither a fingerprint nor a public key"):
        verify_pack(b"", trust=["hello"])


def test_the_same_record_at_the_same_time_gives_the_same_bytes(office: Office) -> None:
    """Packing is deterministic, and packing twice adds nothing to the record."""
    assert packed(office).data == packed(office).data
    assert len(office.wiring.incident(CASE).oversight.checkpoints) == 1


def test_a_change_of_any_byte_is_found(office: Office) -> None:
    """Hundreds of places, each bit of trust: every altered file fails."""
    data = packed(office).data
    chosen = random.Random(4)
    for place in {0, len(data) - 1, *chosen.sample(range(len(data)), 400)}:
        altered = bytearray(data)
        altered[place] ^= 1 << chosen.randrange(8)
        assert not verify_pack(bytes(altered)).holds, place


def test_bytes_added_or_cut_anywhere_are_found(office: Office) -> None:
    """Also where a ZIP reader would not look."""
    data = packed(office).data
    for altered in (b"", data[:-1], data + b"\0", b"\0" + data, data[:100] + b"\0" + data[100:], data * 2):
        assert not verify_pack(altered).holds


@pytest.mark.parametrize(
    ("name", "content"),
    [("record.ndjson", b""), ("manifest.json", b"{}"), ("manifest.sig", b"AAAA\n"), ("approvals.json", b"[]\n")],
)
def test_a_file_exchanged_in_a_well_formed_archive_is_found(office: Office, name: str, content: bytes) -> None:
    """The manifest names every file's hash, and the signature the manifest's."""
    files = read_archive(packed(office).data)
    for changed in (files | {name: content}, {each: files[each] for each in files if each != name}):
        assert not verify_pack(write_archive(changed)).holds


def test_a_file_added_to_a_well_formed_archive_is_found(office: Office) -> None:
    """Also one with a harmless name."""
    files = read_archive(packed(office).data)
    assert not verify_pack(write_archive({**files, "report.html": b"<p>all is well</p>"})).holds


def forged(office: Office, events: list[Event], *, passkeys: list[Event] | None = None, **pages: bytes) -> list[str]:
    """What fails in a pack whose signer packs other events, with the installation's own key."""
    known = [each for each in office.wiring.records.events(INSTALLATION) if each.kind in PASSKEY_KINDS]
    kept = known if passkeys is None else passkeys
    named = {name.replace("_", "."): page for name, page in pages.items()}
    data, _ = pack(
        events, kept, signer=own_key(office), made_at=office.now, made_by="mallory", pages=lambda events: named
    )
    return verify_pack(data).failed


def approval_of(office: Office) -> Event:
    return office.wiring.records.of_kind(EventKind.APPROVAL_GIVEN, incident=CASE)[0]


def test_who_holds_the_signing_key_can_still_not_forge_an_approval(office: Office) -> None:
    """The approval is put under another name in a chain made anew: the passkey's signature does not follow."""
    events, given = office.wiring.records.events(CASE), approval_of(office)
    asked = office.wiring.records.of_kind(EventKind.APPROVAL_ASKED, incident=CASE)[0]
    renamed = chained(events, seq=asked.seq, body={"approver": "carol"})
    renamed = chained(renamed, seq=given.seq, body={"approver": "carol"})
    assert any("not what its passkey signed" in each for each in forged(office, renamed))


def test_an_approval_by_a_passkey_that_nobody_enrolled_is_found(office: Office) -> None:
    """The key in the approval must be the one that was enrolled for that person before."""
    assert any("was not enrolled" in each for each in forged(office, office.wiring.records.events(CASE), passkeys=[]))


def test_a_changed_enrolment_is_found(office: Office) -> None:
    """Each event of a passkey carries its own hash."""
    known = [each for each in office.wiring.records.events(INSTALLATION) if each.kind in PASSKEY_KINDS]
    altered = [each.model_copy(update={"body": {**each.body, "person": "mallory"}}) for each in known]
    assert any("altered" in each for each in forged(office, office.wiring.records.events(CASE), passkeys=altered))


def test_a_checkpoint_over_another_history_is_found(office: Office) -> None:
    """A record rewritten after it was signed does not fit its checkpoint, even if everything else is made anew."""
    checkpoint(office.wiring, CASE, signer=own_key(office))
    rewritten = chained(office.wiring.records.events(CASE), seq=0, body={"severity": "low"})
    assert any("a head that this record never had" in each for each in forged(office, rewritten))


def test_a_file_that_belongs_to_no_pack_is_refused_even_when_signed(office: Office) -> None:
    """Only what follows from the record, and the pages for people."""
    events = office.wiring.records.events(CASE)
    assert forged(office, events, report_html=b"<p>hello</p>") == []
    assert any("belong to no pack" in each for each in forged(office, events, virus_exe=b"MZ"))


def test_a_click_is_said_to_be_a_click(office: Office) -> None:
    """What left no signature is not counted as proven."""
    digest = str(approval_of(office).body["digest"])
    seq = office.write(EventKind.APPROVAL_GIVEN, approver="carol", digest=digest, method="slack").seq
    assert any(
        f"Event {seq}: the approval of carol came by slack" in each for each in verify_pack(packed(office).data).open
    )


def test_the_control_mapping_names_events_and_says_where_there_is_nothing(office: Office) -> None:
    """Every standard is there, with evidence, without in this case, and without in any."""
    text = read_archive(packed(office).data)["controls.json"].decode()
    for standard in ("SP 800-57", "SP 800-61", "PCI DSS", "HIPAA", "GDPR", "NIS2", "ISO/IEC 27001"):
        assert standard in text
    for state in ("evidence", "none in this case", "no evidence in this pack"):
        assert f'"state": "{state}"' in text


def test_only_who_may_take_evidence_gets_a_pack(office: Office) -> None:
    """The role audit; the attempt of anybody else is recorded."""
    with pytest.raises(NotApproved):
        make_pack(office.wiring, Actor(account="bob", via="web"), CASE)
    assert office.refusals()[-1][0] == "bob"


def test_the_signing_key_never_stands_in_a_pack(office: Office) -> None:
    """The pack holds the public half alone."""
    made = packed(office)
    private = (office.root / "state" / FILE).read_text().splitlines()[1]
    assert private.encode() not in made.data
    assert b"PRIVATE KEY" not in made.data


def test_a_checkpoint_is_due_after_a_milestone_and_once(office: Office) -> None:
    """A signed milestone needs no second signature; the next one does."""
    read = lambda: office.wiring.records.events(CASE)  # noqa: E731
    assert due(read())
    first = checkpoint(office.wiring, CASE, signer=signer_of(office.wiring))
    assert isinstance(first, CheckpointSigned)
    assert not due(read())
    assert checkpoint(office.wiring, CASE, signer=signer_of(office.wiring)) == first
    office.write(EventKind.CLOSED, by="alice", outcome="recovered")
    assert due(read())
    again = checkpoint(office.wiring, CASE, signer=signer_of(office.wiring))
    assert again.seq > first.seq
    assert fingerprint(again.public_key) == fingerprint(first.public_key)
