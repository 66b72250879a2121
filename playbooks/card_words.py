"""The words of the card: how steps, people and counts are said without naming a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind
from playbooks.incident import Incident
from playbooks.plans import Action, Phase, Step
from playbooks.refs import DatasetRef, parse_ref
from playbooks.step_status import StepStatus

Words = tuple[str, str, str]
"""What is acted on (one of it), what doing so is called, and what was shown when a probe proved it."""

WORDS: Mapping[Action, Words] = {
    Action.CUT_CREDENTIAL: ("credential", "cutting", "refused when tried afresh"),
    Action.REVOKE_SESSIONS: ("credential", "ending the sessions of", "its sessions are refused"),
    Action.REVOKE_GRANTS: ("key", "ending the grants on", "its grants are gone"),
    Action.QUARANTINE_KEY: ("key", "quarantining", "refused to all but the recovery identity"),
    Action.STOP_ENCRYPTION: ("key", "stopping new encryption under", "encrypts nothing new"),
    Action.DISABLE_KEY: ("key", "turning off", "refused when tried afresh"),
    Action.CANCEL_DELETION: ("key", "cancelling the deletion of", "its deletion is cancelled"),
    Action.CREATE_KEY: ("key", "creating the successor of", "its successor exists"),
    Action.ROTATE_KEY: ("key", "rotating", "has new material"),
    Action.SWITCH_KEY: ("key", "putting the successor in the place of", "its successor is in use"),
    Action.ISSUE_CREDENTIAL: ("credential", "issuing the successor of", "its successor is delivered"),
    Action.ISSUE_CERTIFICATE: ("certificate", "issuing the successor of", "its successor is issued"),
    Action.RESIGN: ("signer", "signing anew the artifacts of", "its artifacts are signed anew"),
    Action.REWRAP: ("dataset", "rewrapping", "under the new key, object by object"),
    Action.REENCRYPT: ("dataset", "re-encrypting", "encrypted in full under the new key"),
    Action.REVOKE_CERTIFICATE: ("certificate", "revoking", "stands in the published revocation list"),
    Action.PUBLISH_CUTOFF: ("key", "publishing the cut-off of", "every relying party has heard of the cut-off"),
    Action.PROBE_OLD: ("old key or credential", "trying again", "still refused"),
    Action.PROBE_NEW: ("new key", "trying", "works"),
    Action.TAKE_CENSUS: ("dataset", "counting", "counted, object by object"),
    Action.CHECK_CONSUMER: ("service", "checking", "works again"),
    Action.NOTIFY: ("audience", "telling", "told"),
    Action.SCHEDULE_DELETION: ("old key", "scheduling the deletion of", "deleted after its window"),
    Action.DESTROY_KEY: ("old key", "destroying", "destroyed"),
    Action.REVIEW: ("incident", "reviewing", "reviewed"),
}

_EXPOSED: Mapping[ExposureKind, str] = {
    ExposureKind.CREDENTIAL: "a credential that may use {keys} has leaked",
    ExposureKind.POLICY: "a right to use {keys} was too wide",
    ExposureKind.KEY_MATERIAL: "the material of an encryption key has leaked",
    ExposureKind.DATA_KEY: "a data key or its plaintext has leaked",
    ExposureKind.SIGNING_KEY: "a signing key is in other hands",
    ExposureKind.ISSUING_KEY: "a key that issues trust is in other hands",
    ExposureKind.ALGORITHM: "a cryptographic scheme that we use is broken",
    ExposureKind.AVAILABILITY: "keys are about to be lost",
}

METHODS: Mapping[str, str] = {
    "webauthn": "passkey",
    "break-glass": "break-glass",
    "totp": "one-time code",
    "slack": "a click in Slack",
    "cli": "by name",
}
"""How people agreed, for people to read."""

_WITHHELD = "(name withheld)"
_LONG_ENOUGH = 12


def number(count: int, one: str) -> str:
    """``1 key``, ``2 keys``, ``no key``; the plural is regular."""
    plural = f"{one[:-1]}ies" if one.endswith("y") and one[-2:-1] not in "aeiou" else f"{one}s"
    if " or " in one:
        plural = " or ".join(f"{each}s" for each in one.split(" or "))
    return f"no {one}" if count == 0 else f"1 {one}" if count == 1 else f"{count} {plural}"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def doing(action: Action, count: int = 1) -> str:
    """``cutting 1 credential``."""
    one, verb, _ = WORDS[action]
    return f"{verb} {number(count, one)}"


def exposed(kinds: Iterable[ExposureKind], *, keys: int) -> str:
    """What the adversary has, without a full stop; ``keys`` within reach, -1 when not counted."""
    reach = number(keys, "key") if keys > 0 else "keys" if keys < 0 else "keys that the estate does not list"
    return listed(dict.fromkeys(_EXPOSED[kind].format(keys=reach) for kind in kinds))


def dataset_name(uri: str) -> str:
    """The dataset as people call it: its path."""
    try:
        return DatasetRef.parse(uri).path
    except InvalidInput:
        return uri


def taken_back(incident: Incident) -> list[Step]:
    """The containing steps that were undone: what they held is open again."""
    planned = incident.plan.in_phase(Phase.CONTAIN) if incident.plan else ()
    return [step for step in planned if incident.steps[step.id].state == "undone"]


def in_force(incident: Incident) -> list[Step]:
    """The steps that changed something and can be taken back."""
    steps = incident.plan.steps if incident.plan else ()
    return [step for step in steps if step.undo and _changed(incident.steps[step.id])]


def without_names(text: str, names: Iterable[str]) -> str:
    """The text with these names of keys and credentials left out: people and vendors write what they like."""
    for name in names:
        text = text.replace(name, _WITHHELD)
    return text


def names_of(incident: Incident) -> list[str]:
    """Names of the incident's keys, credentials and certificates, the longest first.

    A path that is a plain short word is not among them: it may be the name of a service or a dataset as well.
    """
    uris = {each.target for each in incident.exposures} | {each.via for each in incident.exposures}
    uris |= set(incident.facts) | {step.target for step in (incident.plan.steps if incident.plan else ())}
    found: set[str] = set()
    for uri in uris:
        found |= _names_in(uri)
    return sorted(found, key=lambda name: (-len(name), name))


def _names_in(uri: str) -> set[str]:
    if not re.match(r"[a-z0-9-]+:.", uri):
        return set()
    try:
        ref = parse_ref(uri)
    except InvalidInput:
        return {uri}
    if isinstance(ref, DatasetRef):
        return set()
    tail = ref.path.rpartition("/")[2]
    return {uri} | {each for each in (ref.path, tail) if "/" in each or len(each) >= _LONG_ENOUGH}


def _changed(status: StepStatus) -> bool:
    return status.succeeded and (status.receipt is None or status.receipt.changed)
