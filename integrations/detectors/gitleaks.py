"""Reads Gitleaks 8 reports (``gitleaks … --report-format json``): one JSON array a file.

The secret of a finding is fingerprinted as soon as it is parsed.  A report made with ``--redact`` holds no secrets, so
that nothing in it can be matched to the estate: make it without, and keep it to yourself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.findings import classify
from integrations.hooks import parse_json
from integrations.reports import ReportReader, moment, poll_reports, shown
from playbooks.errors import InvalidInput
from playbooks.exposures import Signal

# A finding whose value is nobody's in the estate becomes no exposure, so this is about exact matches only.
_CONFIDENCE = 0.8


class Gitleaks(ReportReader):
    """One signal a finding, known by Gitleaks' own ``Fingerprint`` (commit, file, rule, line)."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """The findings of every report that changed since the cursor ("": of all)."""
        return poll_reports(self._options, self.read, cursor=cursor, pattern="*.json")

    def read(self, document: bytes) -> Sequence[Signal]:
        """The findings of one report.  Raises InvalidInput naming the entry that is wrong."""
        findings = parse_json(document, sender=self._name)
        if findings is None:
            return ()
        if not isinstance(findings, list):
            raise InvalidInput(f"the report for {self._name} must be a JSON array, as Gitleaks writes it")
        signals = [self._signal(finding, number) for number, finding in enumerate(findings)]
        return list({signal.external_id: signal for signal in signals}.values())

    def _signal(self, finding: Any, number: int) -> Signal:
        if not isinstance(finding, dict) or not isinstance(finding.get("RuleID"), str):
            raise InvalidInput(f"the report for {self._name}: entry {number} has no RuleID")
        secret = str(finding.get("Secret") or "").strip()
        hide = (secret, str(finding.get("Match") or ""))
        kind, fingerprints = classify(secret, key=self._key, beside=(hide[1],))
        rule = shown(finding["RuleID"], hide=hide, limit=60)
        commit, line = shown(finding.get("Commit"), hide=hide, limit=64), shown(finding.get("StartLine"), limit=10)
        place = shown(finding.get("File"), hide=hide) or "an unnamed file"
        where = f"{place}, commit {commit[:12]}" if commit else place
        return Signal(
            source=self._name,
            external_id=shown(finding.get("Fingerprint"), hide=hide, limit=400) or f"{commit}:{place}:{rule}:{line}",
            kind=kind,
            fingerprints=() if _is_redacted(secret) else fingerprints,
            summary=f"Gitleaks found a possible secret ({rule}) in {where}.",
            observed_at=self._clock(),
            first_seen=moment(finding.get("Date")),
            confidence=_CONFIDENCE,
            evidence_uri=shown(finding.get("Link"), hide=hide, limit=400) or f"{place}:{line}",
        )


def _is_redacted(secret: str) -> bool:
    """``--redact`` writes REDACTED; ``--redact=50`` the beginning and three dots."""
    return not secret or "REDACTED" in secret or secret.endswith("...")
