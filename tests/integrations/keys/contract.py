"""The one contract suite over every key backend.

A backend's test module subclasses ``KeyBackendContract`` and gives it one fixture, ``case``::

    from backend_case import BackendCase
    from contract import KeyBackendContract

    class TestMyBackend(KeyBackendContract):
        @pytest.fixture
        def case(self, my_server):
            return BackendCase(name="my-backend", ...)

``case`` is function-scoped and its ``key`` is fresh in every test: the suite disables, quarantines and destroys it.
A case whose capability is not in ``case.supports`` is skipped, and instead the suite checks that ``describe`` gives a
reason for the missing move.  ``supports`` is what the test module *expects* of the backend; the suite checks that
``describe`` says the same.
"""

from __future__ import annotations

import time

import pytest
from backend_case import CONTEXT, DATA_KEYS, BackendCase, check_receipt, flip_last, must_support, verify_signature, wrap

from playbooks.errors import BackendError, IntegrityFailure, NotFound, Refused, Unreachable
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.ports import WrappedKey
from playbooks.receipts import Outcome


class KeyBackendContract:
    """What every key backend promises; subclass it and provide the fixture ``case``."""

    # --- describe ----------------------------------------------------------------------------

    def test_describe_tells_facts(self, case: BackendCase) -> None:
        """An active key has an algorithm, a version and an aware read time, and says whether it is extractable."""
        facts = case.backend.describe(case.key)
        assert facts.ref == case.key
        assert facts.purpose == "encrypt"
        assert facts.state is KeyState.ACTIVE
        assert facts.algorithm
        assert facts.extractable is case.extractable
        assert facts.read_at.tzinfo is not None
        assert (facts.protecting_since is not None) is case.dated

    def test_capabilities_are_those_expected_and_the_rest_have_reasons(self, case: BackendCase) -> None:
        """No move is both possible and unavailable, and whatever the case expects to be missing is explained."""
        facts = case.backend.describe(case.key)
        assert facts.capabilities >= case.supports
        assert not facts.capabilities & set(facts.unavailable)
        for capability in set(Capability) - facts.capabilities:
            assert facts.unavailable.get(capability), f"{capability} is missing without a reason"

    def test_capabilities_listed_have_their_methods(self, case: BackendCase) -> None:
        """A listed capability is a method of the backend, so the planner may rely on the facts alone."""
        facts = case.backend.describe(case.key)
        for capability in facts.capabilities:
            for method in _METHODS[capability]:
                assert callable(getattr(case.backend, method, None)), f"{capability} needs {method}"

    def test_list_keys_holds_the_key(self, case: BackendCase) -> None:
        """Inventory finds the key by the same reference."""
        assert case.key in list(case.backend.list_keys())

    def test_an_unknown_key_is_not_found(self, case: BackendCase) -> None:
        """A key that does not exist is NotFound, never Refused: that would be taken for containment."""
        with pytest.raises(NotFound) as raised:
            case.backend.describe(case.missing_key)
        assert raised.value.subject == str(case.missing_key)

    # --- wrapping ----------------------------------------------------------------------------

    def test_wrapped_keys_come_back_in_order(self, case: BackendCase) -> None:
        """Unwrapping a batch gives the data keys in the order in which they were wrapped."""
        assert case.backend.unwrap(case.key, wrap(case)) == DATA_KEYS

    def test_another_session_reads_what_the_first_wrapped(self, case: BackendCase) -> None:
        """Nothing needed to unwrap is kept in the session."""
        wrapped = wrap(case)
        other = case.open_again()
        try:
            assert other.unwrap(case.key, wrapped) == DATA_KEYS
        finally:
            other.close()

    def test_an_empty_batch_is_an_empty_answer(self, case: BackendCase) -> None:
        """Nothing to do is no error."""
        assert case.backend.wrap(case.key, [], contexts=[]) == []
        assert case.backend.unwrap(case.key, []) == []

    def test_a_batch_larger_than_a_request_is_whole(self, case: BackendCase) -> None:
        """Limits of one request are the adapter's business."""
        data_keys = [number.to_bytes(32, "big") for number in range(260)]
        wrapped = case.backend.wrap(case.key, data_keys, contexts=[case.context()] * len(data_keys))
        assert case.backend.unwrap(case.key, wrapped) == data_keys

    def test_another_context_does_not_unwrap(self, case: BackendCase) -> None:
        """A data key is bound to its context where the backend can bind one."""
        if not case.binds_context:
            pytest.skip(f"{case.name} binds no context")
        moved = [WrappedKey(item.blob, {**CONTEXT, "tenant": "b"}) for item in wrap(case)]
        assert all(isinstance(answer, BackendError) for answer in case.backend.unwrap(case.key, moved))

    def test_a_tampered_item_fails_alone(self, case: BackendCase) -> None:
        """One altered blob is an error in its place; the others come back."""
        wrapped = wrap(case)
        wrapped[2] = WrappedKey(flip_last(wrapped[2].blob), wrapped[2].context)
        answers = case.backend.unwrap(case.key, wrapped)
        assert isinstance(answers[2], IntegrityFailure | Refused), repr(answers[2])
        assert [answer for place, answer in enumerate(answers) if place != 2] == DATA_KEYS[:2] + DATA_KEYS[3:]

    def test_wrapping_under_an_unknown_key_says_so_and_makes_no_key(self, case: BackendCase) -> None:
        """A missing key is never created by using it; the failure stands in each item's place."""
        answers = case.backend.wrap(case.missing_key, DATA_KEYS[:2], contexts=[case.context()] * 2)
        assert all(isinstance(answer, BackendError) for answer in answers)
        with pytest.raises(NotFound):
            case.backend.describe(case.missing_key)

    # --- probes ------------------------------------------------------------------------------

    @pytest.mark.parametrize("operation", ["encrypt", "decrypt"])
    def test_a_live_key_answers_a_probe(self, case: BackendCase, operation: str) -> None:
        """Before containment the probe works, so a later refusal means something."""
        result = case.backend.probe(case.key, operation=operation, expected="worked", identity=case.identity)
        assert result.outcome is Outcome.WORKED, result
        assert result.as_expected

    def test_a_closed_port_is_unreachable_and_never_refused(self, case: BackendCase) -> None:
        """No answer says nothing about the key: Unreachable, and an inconclusive probe, without long retries."""
        if case.open_unreachable is None:
            pytest.skip(f"{case.name} has no port to close")
        started = time.monotonic()
        with pytest.raises(Unreachable):
            case.open_unreachable().describe(case.key)
        assert time.monotonic() - started < case.unreachable_seconds

    # --- disable -----------------------------------------------------------------------------

    def test_disabling_twice_changes_once(self, case: BackendCase) -> None:
        """Convergence: the second receipt says that it was already so."""
        must_support(case, Capability.DISABLE)
        first, second = case.backend.disable(case.key), case.backend.disable(case.key)
        assert (first.changed, second.changed) == (True, False)
        check_receipt(first, case.key)
        assert case.backend.describe(case.key).state is KeyState.SUSPENDED

    @pytest.mark.parametrize("operation", ["encrypt", "decrypt"])
    def test_a_disabled_key_refuses_with_its_specific_code(self, case: BackendCase, operation: str) -> None:
        """The proof of containment names the backend's own code, from a fresh session."""
        must_support(case, Capability.DISABLE)
        case.backend.disable(case.key)
        result = case.backend.probe(case.key, operation=operation, expected="refused", identity=case.identity)
        assert result.outcome is Outcome.REFUSED, result
        assert result.code in case.disabled_codes

    def test_a_disabled_key_does_not_unwrap(self, case: BackendCase) -> None:
        """Every item of a batch is Refused, none is lost."""
        must_support(case, Capability.DISABLE)
        wrapped = wrap(case)
        case.backend.disable(case.key)
        answers = case.backend.unwrap(case.key, wrapped)
        assert len(answers) == len(wrapped)
        assert all(isinstance(answer, Refused) for answer in answers), answers

    def test_enable_restores_what_disable_took(self, case: BackendCase) -> None:
        """After a false alarm the same data keys come back."""
        must_support(case, Capability.DISABLE)
        wrapped = wrap(case)
        undo = case.backend.disable(case.key).undo
        case.backend.enable(case.key, undo=undo)
        assert case.backend.enable(case.key, undo=undo).changed is False
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS

    # --- quarantine and stop of encryption ------------------------------------------------------

    def test_a_quarantined_key_serves_only_the_recovery_identity(self, case: BackendCase) -> None:
        """The consumer's probe is refused with the specific code while recovery still reads; release restores."""
        must_support(case, Capability.QUARANTINE)
        wrapped = wrap(case)
        first, second = case.backend.quarantine(case.key), case.backend.quarantine(case.key)
        assert (first.changed, second.changed) == (True, False)
        result = case.backend.probe(case.key, operation="decrypt", expected="refused", identity=case.identity)
        assert result.outcome is Outcome.REFUSED, result
        assert result.code in case.quarantined_codes
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS
        case.backend.release(case.key, undo=first.undo)
        again = case.backend.probe(case.key, operation="decrypt", expected="worked", identity=case.identity)
        assert again.as_expected, again

    def test_stopped_encryption_still_decrypts(self, case: BackendCase) -> None:
        """Nothing new goes under the exposed material; what is there still reads; resuming takes it back."""
        must_support(case, Capability.STOP_ENCRYPTION)
        wrapped = wrap(case)
        first, second = case.backend.stop_encryption(case.key), case.backend.stop_encryption(case.key)
        assert (first.changed, second.changed) == (True, False)
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS
        case.backend.resume_encryption(case.key, undo=first.undo)
        assert case.backend.unwrap(case.key, wrap(case)) == DATA_KEYS

    @pytest.mark.parametrize(
        ("needs", "move", "reverse"),
        [
            (Capability.DISABLE, "disable", "enable"),
            (Capability.QUARANTINE, "quarantine", "release"),
            (Capability.STOP_ENCRYPTION, "stop_encryption", "resume_encryption"),
        ],
    )
    def test_a_lost_receipt_does_not_lose_the_undo(
        self, case: BackendCase, needs: Capability, move: str, reverse: str
    ) -> None:
        """Killed between the effect and its receipt, the step is run again by a later process, which can undo it."""
        must_support(case, needs)
        wrapped = wrap(case)
        getattr(case.backend, move)(case.key)
        later = case.open_again()
        second = getattr(later, move)(case.key)
        getattr(later, reverse)(case.key, undo=second.undo)
        later.close()
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS
        assert case.backend.unwrap(case.key, wrap(case)) == DATA_KEYS

    # --- successors --------------------------------------------------------------------------

    def test_one_marker_makes_one_key(self, case: BackendCase) -> None:
        """A repeated step finds the key that it made; it has the same purpose and cannot be extracted."""
        must_support(case, Capability.CREATE)
        key, first = case.backend.create(like=case.key, marker="step-1")
        same, second = case.backend.create(like=case.key, marker="step-1")
        assert key == same
        assert key != case.key
        assert (first.changed, second.changed) == (True, False)
        facts = case.backend.describe(key)
        assert (facts.purpose, facts.state) == ("encrypt", KeyState.ACTIVE)
        assert facts.extractable is not True

    def test_another_marker_makes_another_key(self, case: BackendCase) -> None:
        """Two incidents never share a successor."""
        must_support(case, Capability.CREATE)
        one, _ = case.backend.create(like=case.key, marker="step-1")
        two, _ = case.backend.create(like=case.key, marker="step-2")
        assert one != two

    def test_switching_twice_is_switching_once(self, case: BackendCase) -> None:
        """Pointing aliases at the successor converges, also where there are none."""
        must_support(case, Capability.CREATE)
        new, _ = case.backend.create(like=case.key, marker="step-1")
        case.backend.switch(old=case.key, new=new)
        assert case.backend.switch(old=case.key, new=new).changed is False

    def test_a_successor_of_an_unknown_key_is_not_found(self, case: BackendCase) -> None:
        """There is nothing to be like."""
        must_support(case, Capability.CREATE)
        with pytest.raises(NotFound):
            case.backend.create(like=case.missing_key, marker="step-1")

    def test_rotation_keeps_old_ciphertext_readable(self, case: BackendCase) -> None:
        """Rotation converges by its marker and is never containment."""
        must_support(case, Capability.ROTATE)
        wrapped = wrap(case)
        before = case.backend.describe(case.key)
        time.sleep(1.1)  # backends tell the time of a version to the second
        first = case.backend.rotate(case.key, marker="step-1")
        second = case.backend.rotate(case.key, marker="step-1")
        assert (first.changed, second.changed) == (True, False)
        after = case.backend.describe(case.key)
        assert after.version != before.version
        assert before.protecting_since < after.protecting_since <= after.read_at
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS

    def test_rewrapped_keys_outlive_the_old_key(self, case: BackendCase) -> None:
        """After rewrap the new key reads the same data keys with the old key out of use."""
        must_support(case, Capability.CREATE, Capability.REWRAP)
        new, _ = case.backend.create(like=case.key, marker="step-1")
        moved = case.backend.rewrap(wrap(case), old=case.key, new=new)
        assert all(isinstance(item, WrappedKey) for item in moved), moved
        if Capability.DISABLE in case.supports:
            case.backend.disable(case.key)
        assert case.backend.unwrap(new, moved) == DATA_KEYS
        assert [item.context for item in moved] == [case.context()] * len(moved)

    def test_a_tampered_item_does_not_stop_a_rewrap(self, case: BackendCase) -> None:
        """One bad object stays behind as an error in its place; the others move."""
        must_support(case, Capability.CREATE, Capability.REWRAP)
        new, _ = case.backend.create(like=case.key, marker="step-1")
        wrapped = wrap(case)
        wrapped[0] = WrappedKey(flip_last(wrapped[0].blob), wrapped[0].context)
        moved = case.backend.rewrap(wrapped, old=case.key, new=new)
        assert isinstance(moved[0], IntegrityFailure | Refused), repr(moved[0])
        assert case.backend.unwrap(new, moved[1:]) == DATA_KEYS[1:]

    # --- signing and the end -------------------------------------------------------------------

    def test_a_signing_key_signs_verifiably(self, case: BackendCase) -> None:
        """The signature verifies under the SPKI that the backend shows."""
        if case.sign_key is None:
            pytest.skip(f"{case.name} brings no signing key")
        assert case.backend.describe(case.sign_key).purpose == "sign"
        signature = case.backend.sign(case.sign_key, b"release 1.2.3")
        verify_signature(case.backend.public_key(case.sign_key), signature, b"release 1.2.3")

    def test_a_destroyed_key_is_gone(self, case: BackendCase) -> None:
        """Destruction is final: nothing unwraps, and the key is not found or says that it is destroyed."""
        must_support(case, Capability.DESTROY)
        wrapped = wrap(case)
        check_receipt(case.backend.destroy(case.key), case.key)
        assert case.backend.destroy(case.key).changed is False
        assert all(isinstance(answer, BackendError) for answer in case.backend.unwrap(case.key, wrapped))

    def test_scheduled_deletion_can_be_cancelled(self, case: BackendCase) -> None:
        """The window is read live, and a cancelled deletion leaves the data readable once enabled."""
        must_support(case, Capability.SCHEDULE_DELETION)
        wrapped = wrap(case)
        facts: KeyFacts = case.backend.describe(case.key)
        assert facts.deletion_days is not None
        receipt = case.backend.schedule_deletion(case.key, days=facts.deletion_days[0])
        assert case.backend.describe(case.key).deletion_at is not None
        case.backend.cancel_deletion(case.key, undo=receipt.undo)
        assert case.backend.describe(case.key).deletion_at is None
        assert case.backend.unwrap(case.key, wrapped) == DATA_KEYS

    # --- secrets -----------------------------------------------------------------------------

    def test_no_secret_shows_in_a_repr(self, case: BackendCase) -> None:
        """Neither the backend, its facts, wrapped keys nor errors show a credential or a data key."""
        shown = [repr(case.backend), str(case.backend), repr(case.backend.describe(case.key))]
        shown += [repr(item) for item in wrap(case)]
        with pytest.raises(NotFound) as raised:
            case.backend.describe(case.missing_key)
        shown += [str(raised.value), repr(raised.value)]
        for secret in (*case.secrets, repr(DATA_KEYS[0])):
            assert not [text for text in shown if secret and secret in text]


_METHODS: dict[Capability, tuple[str, ...]] = {
    Capability.DISABLE: ("disable", "enable"),
    Capability.QUARANTINE: ("quarantine", "release"),
    Capability.STOP_ENCRYPTION: ("stop_encryption", "resume_encryption"),
    Capability.CREATE: ("create", "switch"),
    Capability.ROTATE: ("rotate",),
    Capability.REWRAP: ("rewrap",),
    Capability.WRAP: ("wrap", "unwrap"),
    Capability.SIGN: ("sign", "public_key"),
    Capability.DESTROY: ("destroy",),
    Capability.SCHEDULE_DELETION: ("schedule_deletion", "cancel_deletion"),
    Capability.REVOKE_GRANTS: ("revoke_grants",),
    Capability.READ_USAGE: ("usage",),
}
