"""Exposure decides the strategy; what a backend lacks is said before anything runs."""

from __future__ import annotations

import pytest
from cases import CASES, KMS, PIN, SIGNING, TRANSIT, Case, facts_of
from hypothesis import given, settings
from hypothesis import strategies as st

from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.keys import Capability
from playbooks.planner import make_plan, refuse_rotation
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.playbook import catalog


def actions(plan: Plan, phase: Phase) -> list[str]:
    return [f"{step.action.value} {step.target}" for step in plan.in_phase(phase) if not step.unavailable]


def find(plan: Plan, action: Action, target: str = "") -> Step:
    return next(step for step in plan.steps if step.action is action and target in step.target)


def changed(case: Case, **updates: object) -> Case:
    """The case with its one exposure changed."""
    return Case(case.estate, (case.exposures[0].model_copy(update=updates),), case.facts)


def lacking(name: str, *capabilities: Capability) -> Case:
    """The case on a backend that lacks some moves."""
    case = CASES[name]()
    purpose = case.estate.keys[0].purpose
    facts = {key: facts_of(key, purpose=purpose, without=frozenset(capabilities)) for key in case.facts}
    return Case(case.estate, case.exposures, facts)


# --- what each strategy does ------------------------------------------------------------------


def test_an_access_key_is_cut_the_key_quarantined_and_data_rewrapped() -> None:
    """The attacker could use the key and does not have it: payloads stay."""
    plan = CASES["kms-credential-leak"]().plan()
    assert actions(plan, Phase.CONTAIN) == [
        "cut-credential aws-iam:prod/svc-app/AKIAEXAMPLE1",
        "revoke-sessions aws-iam:prod/svc-app/AKIAEXAMPLE1",
        "revoke-grants aws-kms:prod/k1",
        "quarantine-key aws-kms:prod/k1",
    ]
    assert {step.action for step in plan.in_phase(Phase.REENCRYPT)} == {Action.REWRAP}
    assert find(plan, Action.SCHEDULE_DELETION).inputs == {"days": 30}


def test_a_quarantine_is_probed_as_the_leaked_identity() -> None:
    """The recovery identity passes the quarantine, so its probe would say nothing."""
    plan = CASES["kms-credential-leak"]().plan()
    for step in (find(plan, Action.QUARANTINE_KEY), find(plan, Action.PROBE_OLD, "aws-kms:")):
        assert step.inputs["secret"] == "file:/run/leaked.json"


def test_a_pin_is_changed_before_its_sessions_end() -> None:
    """Ending sessions first would let them come back; changing the PIN is the quarantine."""
    plan = CASES["hsm-pin-leak"]().plan()
    assert actions(plan, Phase.CONTAIN) == [
        "cut-credential pkcs11-pin:kek-hsm/user",
        "revoke-sessions pkcs11-pin:kek-hsm/user",
    ]
    assert plan.step("contain.2-revoke-sessions").needs == ("contain.1-cut-credential",)
    assert find(plan, Action.DESTROY_KEY).gate is Gate.TWO_PERSON


def test_exported_material_forces_full_reencryption_and_refuses_rotation() -> None:
    """The way to the ciphertext is cut; the old key is disabled only after the census."""
    plan = CASES["transit-key-exported"]().plan()
    assert "cut-credential postgres-role:shop/orders" in actions(plan, Phase.CONTAIN)
    assert "cut-credential postgres-role:shop/report" not in actions(plan, Phase.CONTAIN)
    assert find(plan, Action.REENCRYPT).target == "postgres:shop/public.orders.card"
    assert "refused" in find(plan, Action.ROTATE_KEY).unavailable
    assert find(plan, Action.TAKE_CENSUS).id in find(plan, Action.DISABLE_KEY).needs
    assert any("stays exposed" in each for each in plan.residual)


def test_material_is_rewrapped_only_when_wrapped_keys_are_known_to_be_safe() -> None:
    """Unknown counts as readable; only a firm no spares the payloads."""
    case = changed(CASES["transit-key-exported"](), wrapped_keys_readable=False)
    assert {step.action for step in case.plan().in_phase(Phase.REENCRYPT)} == {Action.REWRAP, Action.TAKE_CENSUS}


def test_every_reader_is_cut_when_the_way_out_is_not_known() -> None:
    """Anybody who can read the ciphertext could be the attacker."""
    plan = changed(CASES["transit-key-exported"](), via="").plan()
    assert "cut-credential postgres-role:shop/report" in actions(plan, Phase.CONTAIN)
    assert any("is not known: every reader" in each for each in plan.unknowns)


def test_further_credentials_of_a_consumer_are_delivered_beside_the_first() -> None:
    """Two successors must not overwrite each other."""
    plan = CASES["transit-key-exported"]().plan()
    places = [step.inputs["deliver_to"] for step in plan.steps if step.action is Action.ISSUE_CREDENTIAL]
    assert places == ["file:/srv/orders/credential", "file:/srv/orders/credential-postgres-role"]


def test_a_signing_key_stops_and_its_cutoff_is_published_before_renewal() -> None:
    """Only containment is waited for; revoking needs two people, publishing does not wait for them."""
    plan = CASES["signing-key-leak"]().plan()
    order = [step.id for step in plan.steps]
    cutoff, revoked = find(plan, Action.PUBLISH_CUTOFF), find(plan, Action.REVOKE_CERTIFICATE)
    assert all(need.startswith("contain.") for need in cutoff.needs + revoked.needs)
    assert order.index(cutoff.id) < order.index(find(plan, Action.CREATE_KEY).id)
    assert (cutoff.gate, revoked.gate) == (Gate.PRE_APPROVED, Gate.TWO_PERSON)
    assert [step.target for step in plan.steps if step.action is Action.RESIGN] == ["signer"]
    assert find(plan, Action.ISSUE_CERTIFICATE).inputs["new_key"] == f"step:{find(plan, Action.CREATE_KEY).id}#key"


def test_a_pending_deletion_is_cancelled_before_its_deadline() -> None:
    """The window is read live and stands in the step."""
    case = CASES["kms-credential-leak"]()
    (key, facts), *_ = case.facts.items()
    ends = facts.read_at.replace(year=2027)
    exposure = Exposure(kind=ExposureKind.AVAILABILITY, target=str(key), confidence=0.9)
    pending = {key: facts.model_copy(update={"deletion_at": ends})}
    step = find(Case(case.estate, (exposure,), pending).plan(), Action.CANCEL_DELETION)
    assert (step.reversibility, step.window_ends) == (Reversibility.WINDOWED, ends)


@pytest.mark.parametrize("kind", [ExposureKind.ISSUING_KEY, ExposureKind.ALGORITHM])
def test_what_is_not_built_is_said_and_not_left_out(kind: ExposureKind) -> None:
    """Silence would look like containment."""
    case = CASES["signing-key-leak"]()
    exposure = Exposure(kind=kind, target=str(case.estate.keys[0].ref), confidence=0.9)
    plan = Case(case.estate, (exposure,), case.facts).plan()
    assert plan.in_phase(Phase.CONTAIN)[0].unavailable
    assert plan.residual


def test_a_data_key_needs_full_reencryption_and_keeps_the_key_above() -> None:
    """The key-encryption key is not exposed: it is neither disabled nor retired."""
    case = CASES["kms-credential-leak"]()
    exposure = Exposure(kind=ExposureKind.DATA_KEY, target="files:docs/invoices", confidence=0.9)
    plan = Case(case.estate, (exposure,), case.facts).plan()
    assert find(plan, Action.REENCRYPT, "files:docs/invoices")
    assert not plan.in_phase(Phase.RETIRE)


def test_full_reencryption_wins_over_rewrapping_the_same_data() -> None:
    """Two exposures of one key make one move per dataset, the deeper one."""
    case = CASES["transit-key-exported"]()
    token = Exposure(kind=ExposureKind.CREDENTIAL, target="openbao-token:vault/acc1", confidence=0.9)
    plan = Case(case.estate, (token, *case.exposures), case.facts).plan()
    assert Action.REWRAP not in {step.action for step in plan.steps}


# --- what a backend lacks ---------------------------------------------------------------------


def test_a_missing_quarantine_is_said_and_the_next_best_is_added() -> None:
    """In the order of the playbook; disabling waits for the census because data is still to be read."""
    plan = lacking("kms-credential-leak", Capability.QUARANTINE).plan()
    assert find(plan, Action.QUARANTINE_KEY).unavailable == "no quarantine here"
    assert find(plan, Action.STOP_ENCRYPTION).unavailable
    off = find(plan, Action.DISABLE_KEY)
    assert off.phase is Phase.REVOKE
    assert set(off.needs) == {step.id for step in plan.steps if step.action is Action.TAKE_CENSUS}


def test_what_needs_a_missing_result_is_unavailable_for_the_same_reason() -> None:
    """Without a new key nothing can be moved, and the plan says so before it starts."""
    plan = lacking("kms-credential-leak", Capability.CREATE).plan()
    for action in (Action.SWITCH_KEY, Action.REWRAP, Action.PROBE_NEW):
        assert "no create here" in find(plan, action).unavailable


def test_a_backend_that_did_not_answer_is_planned_for_and_named() -> None:
    """An unread key is assumed able; the plan says that this is an assumption."""
    case = CASES["kms-credential-leak"]()
    plan = Case(case.estate, case.exposures, {}).plan()
    assert find(plan, Action.QUARANTINE_KEY).unavailable == ""
    assert any("could not be read" in each for each in plan.unknowns)


def test_a_doubtful_exposure_needs_one_person_to_contain() -> None:
    """Below the playbook's confidence nothing runs by itself."""
    plan = changed(CASES["kms-credential-leak"](), confidence=0.5).plan()
    assert {step.gate for step in plan.in_phase(Phase.CONTAIN)} == {Gate.ONE_PERSON}


def test_rotating_a_key_that_is_out_is_refused() -> None:
    """Also when somebody hands in such a plan."""
    case = CASES["transit-key-exported"]()
    plan = case.plan()
    forced = tuple(step.model_copy(update={"unavailable": ""}) for step in plan.steps)
    with pytest.raises(InvalidInput, match="rotating in place is refused"):
        refuse_rotation(plan.model_copy(update={"steps": forced}), case.exposures)


def test_a_plan_needs_an_exposure() -> None:
    """Nothing exposed, nothing to plan."""
    with pytest.raises(InvalidInput, match="at least one exposure"):
        make_plan(incident_id="KQ-1", exposures=(), estate=KMS, facts={}, playbook=catalog()["kms-credential-leak"])


# --- what holds for every plan ----------------------------------------------------------------

ESTATES: dict[str, Estate] = {"kms": KMS, "pin": PIN, "transit": TRANSIT, "signing": SIGNING}


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    """Any exposures of an estate, on backends that lack anything."""
    estate = ESTATES[draw(st.sampled_from(sorted(ESTATES)))]
    keys = [str(entry.ref) for entry in estate.keys]
    credentials = [str(entry.ref) for entry in estate.credentials]
    exposures = [
        Exposure(
            kind=kind,
            target=draw(st.sampled_from(credentials if kind is ExposureKind.CREDENTIAL else keys)),
            via=draw(st.sampled_from(["", *credentials])),
            confidence=draw(st.floats(0, 1)),
            wrapped_keys_readable=draw(st.sampled_from([None, True, False])),
        )
        for kind in draw(st.lists(st.sampled_from(ExposureKind), min_size=1, max_size=3))
    ]
    lost = draw(st.frozensets(st.sampled_from(Capability)))
    known = draw(st.booleans())
    facts = {entry.ref: facts_of(entry.ref, purpose=entry.purpose, without=lost) for entry in estate.keys if known}
    return Case(estate, tuple(exposures), facts)


@settings(max_examples=150, deadline=None)
@given(any_case())
def test_every_plan_is_sound(case: Case) -> None:
    """Deterministic; needs precede and can run; nothing irreversible is pre-approved; data waits for no message."""
    plan = case.plan()
    assert plan.digest == case.plan().digest
    assert plan.digest == Case(case.estate, tuple(reversed(case.exposures)), case.facts).plan().digest
    seen: dict[str, Step] = {}
    for step in plan.steps:
        assert step.id not in seen
        assert all(need in seen and not seen[need].unavailable for need in step.needs)
        for value in step.inputs.values():
            if isinstance(value, str) and value.startswith("step:") and not step.unavailable:
                assert value.removeprefix("step:").partition("#")[0] in step.needs
        if step.reversibility is Reversibility.IRREVERSIBLE or step.phase is Phase.RETIRE:
            assert step.gate is Gate.TWO_PERSON
        if step.phase is Phase.REENCRYPT:
            assert not any(need.startswith("notify.") for need in step.needs)
        assert not (step.unavailable and step.undo)
        seen[step.id] = step
    out = [each for each in case.exposures if each.kind is ExposureKind.KEY_MATERIAL]
    if any(each.wrapped_keys_readable is not False for each in out):
        keys = {each.target for each in out if each.wrapped_keys_readable is not False}
        assert not any(step.action is Action.REWRAP and step.inputs["old_key"] in keys for step in plan.steps)


@settings(max_examples=40, deadline=None)
@given(any_case(), st.data())
def test_a_changed_step_changes_the_digest(case: Case, data: st.DataObject) -> None:
    """An approval cannot be carried over to a plan that does something else."""
    plan = case.plan()
    number = data.draw(st.integers(0, len(plan.steps) - 1))
    steps = list(plan.steps)
    steps[number] = steps[number].model_copy(update={"target": steps[number].target + "x"})
    assert plan.model_copy(update={"steps": tuple(steps)}).digest != plan.digest
    assert plan.model_copy(update={"steps": plan.steps[:number] + plan.steps[number + 1 :]}).digest != plan.digest
