"""The command that takes in what a scanner found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from console.output import Common, ExitCode, show
from playbooks.errors import InvalidInput

if TYPE_CHECKING:
    from flows.intake import Taken
    from playbooks.exposures import Signal
    from playbooks.incident import Incident

_MEANING = {
    "opened": "it opened {incident}",
    "joined": "it joined {incident}",
    "known": "{incident} knew it already",
    "settled": "{incident}, which is closed, dealt with it",
    "unmatched": "nothing in the estate matches it, so a person has to look",
}
_MARKS = {"opened": "✘", "joined": "✘", "known": "–", "settled": "–", "unmatched": "?"}


def ingest(
    tool: Annotated[
        str, Parameter(help="trufflehog, gitleaks, sarif, json or certificate-transparency; or a detector's name.")
    ],
    file: Annotated[str, Parameter(help="What the tool wrote; - is standard input.")] = "-",
    /,
    *,
    source: Annotated[str, Parameter(help="Name under which the findings are kept. Default: the detector's.")] = "",
    common: Common = Common(),
) -> int:
    """Match a scanner's findings to the estate, open or join incidents, and run the pre-approved containment."""
    from console.views import incident_brief, incident_data
    from flows.reception import read_findings
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        intake = read_findings(wiring, None, tool, _content(file), source=source)
        incidents = [wiring.incident(each) for each in intake.incidents]
        lines = [_line(signal, taken) for signal, taken in intake.findings] or ["It holds no finding."]
        data = {
            "findings": [_data(signal, taken) for signal, taken in intake.findings],
            "unmatched": len(intake.unmatched),
            "incidents": [incident_data(each) for each in incidents],
        }
        show(common, data, *lines, *(incident_brief(each) for each in incidents))
    return _code(incidents)


def _content(file: str) -> bytes:
    from integrations.reports import MAX_REPORT_BYTES

    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_REPORT_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}).", hint="Give a file, or - and pipe.") from error
    if len(content) > MAX_REPORT_BYTES:
        raise InvalidInput(f"{file} has more than {MAX_REPORT_BYTES // 2**20} MiB.", hint="Ingest it in parts.")
    return content


def _line(signal: Signal, taken: Taken) -> str:
    meaning = _MEANING[taken.how].format(incident=taken.incident)
    return f"{_MARKS[taken.how]} {signal.summary.rstrip('.')}: {meaning}."


def _data(signal: Signal, taken: Taken) -> dict[str, Any]:
    return {
        "source": signal.source,
        "external_id": signal.external_id,
        "kind": signal.kind.value,
        "summary": signal.summary,
        "confidence": signal.confidence,
        "evidence": signal.evidence_uri,
        "result": taken.how,
        "incident": taken.incident,
    }


def _code(incidents: list[Incident]) -> int:
    if any(each.not_contained for each in incidents):
        return ExitCode.FAILED
    return ExitCode.OK if all(each.contained_at for each in incidents) else ExitCode.WAITING
