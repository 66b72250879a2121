"""Reads SARIF 2.1.0 (OASIS): the results of a secret scanner, in a file, a folder or ``keyquell ingest``.

What leaked is taken from the snippet of a result's region (3.30.13) and fingerprinted at once.  A result without a
recognisable secret counts only when its rule or tool is about secrets.  Suppressed, absent and passed results do not.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from integrations.findings import Finding, classify, recognise, secrets_in
from integrations.hooks import parse_json
from integrations.reports import ReportReader, moment, poll_reports, shown
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal

_CONFIDENCE = 0.8
_ABOUT_SECRETS = re.compile(r"secret|credential|password|token|api.?key|private.?key|access.?key|leak|trufflehog", re.I)
_STABLE = ("primaryLocationLineHash",)


class Sarif(ReportReader):
    """One signal a result and kind of exposure, known by tool, rule, place and the result's own fingerprints."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """The findings of every log file that changed since the cursor ("": of all)."""
        return poll_reports(self._options, self.read, cursor=cursor, pattern="*.sarif*")

    def read(self, document: bytes) -> Sequence[Signal]:
        """The findings of one log file.  Raises InvalidInput naming the run or result that is wrong."""
        log = parse_json(document, sender=self._name)
        if not isinstance(log, dict) or log.get("version") != "2.1.0" or not isinstance(log.get("runs"), list):
            raise InvalidInput(f"the report for {self._name} is not SARIF 2.1.0 (version and runs)")
        signals: dict[str, Signal] = {}
        for number, run in enumerate(log["runs"]):
            tool = _at(run, "tool", "driver", "name")
            results = _at(run, "results") or []
            if not isinstance(tool, str) or not isinstance(results, list):
                raise InvalidInput(f"the report for {self._name}: runs[{number}] has no tool.driver.name or results")
            for index, result in enumerate(results):
                if not isinstance(result, dict):
                    raise InvalidInput(f"the report for {self._name}: runs[{number}].results[{index}] is no object")
                signals.update({each.external_id: each for each in self._signals(result, tool)})
        return list(signals.values())

    def _signals(self, result: Mapping[str, Any], tool: str) -> Iterator[Signal]:
        if not _stands(result):
            return
        region = _at(result, "locations", 0, "physicalLocation", "region")
        snippet = str(_at(region, "snippet", "text") or "")
        rule_id = str(result.get("ruleId") or _at(result, "rule", "id") or "unnamed rule")
        found = _by_kind(self._found(snippet))
        if not found and not _ABOUT_SECRETS.search(f"{tool} {rule_id}"):
            return
        hide = (snippet.strip(), *secrets_in(snippet))
        for kind, fingerprints in (found or {ExposureKind.CREDENTIAL: ()}).items():
            yield self._signal(result, tool, rule_id, kind, fingerprints, hide)

    def _found(self, snippet: str) -> list[Finding]:
        """A snippet is the secret itself (Gitleaks) or the line around it (others)."""
        found = recognise(snippet, key=self._key)
        whole = snippet.strip()
        if whole and (not found or not re.search(r"[\s\"'`]", whole)):
            found = [classify(whole, key=self._key), *found]
        return found

    def _signal(
        self,
        result: Mapping[str, Any],
        tool: str,
        rule_id: str,
        kind: ExposureKind,
        fingerprints: tuple[Fingerprint, ...],
        hide: Sequence[str],
    ) -> Signal:
        place = shown(_at(result, "locations", 0, "physicalLocation", "artifactLocation", "uri"), hide=hide)
        line = shown(_at(result, "locations", 0, "physicalLocation", "region", "startLine"), limit=10)
        own = shown(json.dumps(_own_identity(result), sort_keys=True), hide=hide, limit=10_000)
        identity = [tool, rule_id, place, kind.value, own, "" if _is_stable(result) else line]
        rule = shown(rule_id, hide=hide, limit=60)
        return Signal(
            source=self._name,
            external_id=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
            kind=kind,
            fingerprints=fingerprints,
            summary=f"{shown(tool, hide=hide, limit=60)} found a possible secret ({rule}) in {place or 'a file'}.",
            observed_at=self._clock(),
            first_seen=moment(_at(result, "partialFingerprints", "date")),
            confidence=_CONFIDENCE,
            evidence_uri=f"{place}:{line}" if place else "",
        )


def _stands(result: Mapping[str, Any]) -> bool:
    """Is it a finding that nobody has dismissed (3.27.9, 3.27.23, 3.27.24)?"""
    suppressions = result.get("suppressions")
    accepted = [
        each
        for each in (suppressions if isinstance(suppressions, list) else ())
        if _at(each, "status") not in ("rejected", "underReview")
    ]
    passed = result.get("kind", "fail") not in ("fail", "open", "review")
    return not accepted and not passed and result.get("baselineState") != "absent"


def _by_kind(findings: Sequence[Finding]) -> dict[ExposureKind, tuple[Fingerprint, ...]]:
    kinds: dict[ExposureKind, tuple[Fingerprint, ...]] = {}
    for kind, fingerprints in findings:
        if fingerprints:
            kinds[kind] = tuple(dict.fromkeys((*kinds.get(kind, ()), *fingerprints)))
    return kinds


def _own_identity(result: Mapping[str, Any]) -> Any:
    return result.get("fingerprints") or result.get("partialFingerprints") or ""


def _is_stable(result: Mapping[str, Any]) -> bool:
    """Do the tool's fingerprints survive when lines are added above the finding?"""
    partial = result.get("partialFingerprints")
    return bool(result.get("fingerprints")) or (isinstance(partial, dict) and any(each in partial for each in _STABLE))


def _at(value: Any, *path: str | int) -> Any:
    """What stands at a path; None when a part of it is missing or of another form."""
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and len(value) > part else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
