"""An incident in the few sentences that a message may carry: no key names, no secrets, true when it is written."""

from __future__ import annotations

from playbooks.exposures import ExposureKind
from playbooks.incident import Incident
from playbooks.progress import waiting_steps

_EXPOSED = {
    ExposureKind.CREDENTIAL: "A credential that may use our keys has leaked",
    ExposureKind.POLICY: "A right to use our keys was too wide",
    ExposureKind.KEY_MATERIAL: "The material of an encryption key has leaked",
    ExposureKind.DATA_KEY: "A data key or its plaintext has leaked",
    ExposureKind.SIGNING_KEY: "A signing key is in other hands",
    ExposureKind.ISSUING_KEY: "A key that issues trust is in other hands",
    ExposureKind.ALGORITHM: "A cryptographic scheme that we use is broken",
    ExposureKind.AVAILABILITY: "Keys are about to be lost",
}


def briefing(incident: Incident) -> dict[str, str]:
    """Values for the fields of a playbook's notices (``playbook.FIELDS``)."""
    exposed = "; ".join(dict.fromkeys(_EXPOSED[exposure.kind] for exposure in incident.exposures))
    return {
        "codename": incident.codename,
        "summary": f"{exposed}. {_standing(incident)}",
        "phase": incident.phase,
        "severity": incident.severity,
        "exposed": exposed,
        "status": _standing(incident),
        "next_step": _next(incident),
        "exercise": "EXERCISE " if incident.exercise else "",
    }


def _standing(incident: Incident) -> str:
    if incident.not_contained:
        return "It is NOT contained."
    if incident.contained_at is None:
        return "It is not contained yet."
    parts = [f"Contained and proven at {incident.contained_at:%H:%M:%S} UTC"]
    parts.append("data safe" if incident.data_safe_at else "data not yet safe")
    parts.append("service restored" if incident.restored_at else "service not yet shown to work")
    return f"{', '.join(parts)}."


def _next(incident: Incident) -> str:
    waiting = waiting_steps(incident)
    if incident.not_contained:
        return f"somebody must look at {incident.id} now."
    if waiting:
        return f"{waiting[0].gate.people} people other than the requester must approve the plan of {incident.id}."
    return f"follow it with `keyquell status {incident.id}`."
