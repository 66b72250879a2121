"""From exposures, estate, facts and a playbook to the plan; the same input always makes the same plan.

What the actions are given, beyond the comments of ``plans.Action``:

- ``probe-old`` has ``secret`` (reference to the identity that must be refused; "" is the recovery identity) and, on a
  key, ``operation`` (``decrypt``, ``encrypt`` or ``sign``); ``probe-new`` has ``operation`` too.
- ``switch-key`` and ``resign`` have ``certificate`` where one is issued for the new key.
- ``notify`` has ``template`` (its name in the playbook), ``subject`` and ``body`` (not yet filled in), ``draft`` (the
  template it is written from) and ``need_to_know`` where it goes further than the responders.
- ``undo`` names the step's own action where its adapter can take the move back, or another action that does.
- No step waits for one that is ``unavailable``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from playbooks.blast_radius import blast_radius
from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.keys import KeyFacts
from playbooks.plans import Action, Phase, Plan
from playbooks.playbook import Notice, Playbook
from playbooks.refs import KeyRef
from playbooks.strategies.credential import draft_credential, draft_policy
from playbooks.strategies.draft import Draft, Drafting
from playbooks.strategies.key_material import ROTATION_REFUSED, draft_data_key, draft_key_material
from playbooks.strategies.others import draft_availability, draft_unsupported
from playbooks.strategies.signing_key import draft_signing_key

_STRATEGIES: dict[ExposureKind, Callable[[Drafting, Exposure], None]] = {
    # In this order: what re-encrypts in full comes before what only rewraps, and so wins.
    ExposureKind.KEY_MATERIAL: draft_key_material,
    ExposureKind.DATA_KEY: draft_data_key,
    ExposureKind.SIGNING_KEY: draft_signing_key,
    ExposureKind.ISSUING_KEY: draft_unsupported,
    ExposureKind.ALGORITHM: draft_unsupported,
    ExposureKind.CREDENTIAL: draft_credential,
    ExposureKind.POLICY: draft_policy,
    ExposureKind.AVAILABILITY: draft_availability,
}


def make_plan(
    *,
    incident_id: str,
    exposures: Sequence[Exposure],
    estate: Estate,
    facts: Mapping[KeyRef, KeyFacts],
    playbook: Playbook,
    requested_by: str = "",
) -> Plan:
    """Make the incident's plan.

    ``facts`` may lack keys whose backend did not answer: their moves are planned as if possible and the plan says so.
    ``requested_by`` does not change the plan; who may approve it is decided by ``gates``.
    Raises InvalidInput when there is no exposure, or a target is not a reference of the kind that its exposure needs.
    """
    if not exposures:
        raise InvalidInput("a plan needs at least one exposure.", hint="Declare what is out: --key or --credential.")
    ordered = sorted(dict.fromkeys(exposures), key=_in_order)
    drafting = Drafting(estate=estate, facts=facts, playbook=playbook, exposures=tuple(ordered))
    for exposure in ordered:
        _STRATEGIES[exposure.kind](drafting, exposure)
    _notify(drafting)
    drafting.add(
        Draft(Phase.REVIEW, Action.REVIEW, incident_id, why="What was learned is worth most while it is remembered.")
    )
    radius = blast_radius(estate, ordered)
    plan = Plan(
        incident_id=incident_id,
        playbook=playbook.name,
        playbook_version=playbook.version,
        exposures=tuple(f"{exposure.kind.value} of {exposure.target}" for exposure in ordered),
        steps=drafting.steps(),
        unknowns=tuple(dict.fromkeys([*radius.unknown, *drafting.unknowns, *_unread(drafting)])),
        residual=tuple(dict.fromkeys(drafting.residual)),
    )
    refuse_rotation(plan, ordered)
    return plan


def _in_order(exposure: Exposure) -> tuple[int, bool, str, str, str]:
    """Total, so that the order in which exposures became known does not change the plan."""
    spared = exposure.wrapped_keys_readable is False
    kind = list(_STRATEGIES).index(exposure.kind)
    return kind, spared, exposure.target, exposure.via, exposure.model_dump_json()


def refuse_rotation(plan: Plan, exposures: Sequence[Exposure]) -> None:
    """Raise InvalidInput when a plan would rotate a key in place whose material is out."""
    out = {exposure.target for exposure in exposures if exposure.kind is ExposureKind.KEY_MATERIAL}
    for step in plan.steps:
        if step.action is Action.ROTATE_KEY and step.target in out and not step.unavailable:
            raise InvalidInput(f"{step.target}: {ROTATION_REFUSED}.", hint="Create a new key and re-encrypt in full.")


def _notify(drafting: Drafting) -> None:
    for notice in drafting.playbook.notify:
        if notice.audience not in drafting.estate.contacts:
            drafting.unknowns.append(f"nobody is listed for the audience {notice.audience}")
        drafting.add(
            Draft(
                Phase.NOTIFY,
                Action.NOTIFY,
                notice.audience,
                why=notice.why or "People who depend on the key must hear it from us.",
                inputs={"template": notice.audience, "subject": notice.subject, "body": notice.body, **_beyond(notice)},
            )
        )


def _beyond(notice: Notice) -> dict[str, JsonValue]:
    """What only a message has that is made from a template or goes further than the responders."""
    given = {"draft": notice.template, "need_to_know": notice.need_to_know.replace("responders", "")}
    return {name: value for name, value in given.items() if value}


def _unread(drafting: Drafting) -> list[str]:
    """Keys that the plan touches without facts: said once each."""
    schemes = tuple(f"{scheme}:" for scheme in KeyRef.schemes)
    touched = dict.fromkeys(step.target for step in drafting.steps() if step.target.startswith(schemes))
    known = {str(key) for key in drafting.facts}
    return [
        f"what the backend of {uri} permits could not be read: its moves are assumed to be possible"
        for uri in touched
        if uri not in known
    ]
