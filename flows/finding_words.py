"""What a person's words about a leak say of the estate; the words themselves are kept nowhere."""

from __future__ import annotations

import hashlib

from flows.installation import note_unmatched
from flows.target_search import label_of
from flows.wiring import Wiring
from integrations.findings import Finding, recognise
from integrations.fingerprints import installation_key
from playbooks.desk import Report
from playbooks.exposures import Exposure, Signal
from playbooks.matching import match

SOURCE = "report"
"""The source of findings that people report."""


def report_on(wiring: Wiring, text: str) -> Report:
    """Fingerprint every secret in the text and match it; what matches nothing is noted for a person to look at."""
    findings = recognise(text, key=installation_key(wiring.settings.state / "installation.key"))
    signals = [_signal(wiring, finding) for finding in findings]
    exposures: dict[tuple[str, str], Exposure] = {}
    for signal in signals:
        found = match(signal, wiring.estate)
        if not found:
            note_unmatched(wiring, signal)
        for exposure in found:
            exposures.setdefault((exposure.kind.value, exposure.target), exposure)
    return Report(tuple(exposures.values()), _summary(wiring, signals, list(exposures.values())))


def _signal(wiring: Wiring, finding: Finding) -> Signal:
    kind, fingerprints = finding
    marks = "\n".join(sorted(f"{each.kind} {each.value}" for each in fingerprints))
    return Signal(
        source=SOURCE,
        external_id=hashlib.sha256(marks.encode()).hexdigest()[:32],
        kind=kind,
        fingerprints=fingerprints,
        summary="A person reported a leaked secret.",
        observed_at=wiring.clock(),
        confidence=1.0,
    )


def _summary(wiring: Wiring, signals: list[Signal], exposures: list[Exposure]) -> str:
    if not signals:
        return "No secret was recognised in it."
    secrets = "One secret was" if len(signals) == 1 else f"{len(signals)} secrets were"
    if not exposures:
        return f"{secrets} recognised; nothing in the estate matches, so somebody should look whose it is."
    names = ", ".join(dict.fromkeys(label_of(wiring.estate, each.target) for each in exposures))
    return f"{secrets} recognised; exposed in the estate: {names}."
