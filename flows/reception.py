"""Findings that are brought to us: webhooks of detectors, and the output of scanners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flows.background import Background
from flows.engine import contain_now
from flows.intake import Taken, replan, take_in
from flows.watch import heard
from flows.wiring import Wiring
from integrations.registry import ADAPTERS, open_adapter
from playbooks.errors import InvalidInput, KeyquellError, Unavailable
from playbooks.exposures import Signal
from playbooks.heartbeat import FIELD as EXPECT_EVERY
from playbooks.ports import Hears, ReadsFindings


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a document's findings, in their order; each finding stands beside what was done with it."""

    findings: tuple[tuple[Signal, Taken], ...]

    @property
    def incidents(self) -> list[str]:
        """The ids of the open incidents that the findings belong to, once each."""
        return _open_cases(taken for _, taken in self.findings)

    @property
    def unmatched(self) -> list[Signal]:
        """Findings that nothing in the estate matches: a person has to look."""
        return [signal for signal, taken in self.findings if taken.how == "unmatched"]


def hear(wiring: Wiring, background: Background, name: str, *, headers: Mapping[str, str], body: bytes) -> list[str]:
    """Take in what was sent to a detector, and contain in the background; the ids of the open incidents it concerns.

    The same message again changes nothing.  When one finding cannot be taken in, the others still are, and the error is
    raised afterwards, so that the sender tries again.
    Raises NotFound for a name that is not configured, Unavailable for a detector that does not listen, Refused when the
    signature is not the sender's, InvalidInput when the body is not what its format says, and another KeyquellError for
    what is not the sender's fault.
    """
    detector = _listener(wiring, name)
    signals = detector.hear(headers=headers, body=body)
    taken, fault = _take_all(wiring, signals)
    found = _open_cases(taken)
    for incident_id in found:
        background.contain(incident_id)
    heard(wiring, name)
    if fault is not None:
        raise KeyquellError(f"not every finding could be taken in: {fault.message}", hint=fault.hint) from fault
    return found


def read_findings(
    wiring: Wiring, background: Background | None, tool: str, document: bytes, *, source: str = ""
) -> Intake:
    """Take in a tool's whole output; without ``background`` containment has run when this returns.

    ``tool`` is the name of a configured detector, or a type of detectors that read: then a configured one of this type
    lends its options.  ``source`` is the name under which the findings are kept, by default the detector's.
    Raises InvalidInput when the tool is not one that reads, or the document is not its output.
    """
    signals = _reader(wiring, tool, source).read(document)
    taken, fault = _take_all(wiring, signals)
    for incident_id in _open_cases(taken):
        if background is not None:
            background.contain(incident_id)
            continue
        if wiring.incident(incident_id).plan is None:
            replan(wiring, incident_id)
        contain_now(wiring, incident_id)
    if fault is not None:
        raise fault
    return Intake(tuple(zip(signals, taken, strict=True)))


def tools() -> tuple[str, ...]:
    """The types of detectors whose output can be read, of those that come with keyquell."""
    return tuple(kind for kind in ADAPTERS["detectors"] if kind in _READ)


_OF_SECRETS = frozenset({"trufflehog", "gitleaks", "sarif"})
_READ = _OF_SECRETS | {"json", "certificate-transparency"}


def _take_all(wiring: Wiring, signals: Sequence[Signal]) -> tuple[list[Taken], KeyquellError | None]:
    """Every finding taken in as far as possible, and the first fault on the way."""
    taken: list[Taken] = []
    fault: KeyquellError | None = None
    for signal in signals:
        try:
            taken.append(take_in(wiring, signal))
        except KeyquellError as error:
            fault = fault or error
    return taken, fault


def _open_cases(taken: Iterable[Taken]) -> list[str]:
    return list(dict.fromkeys(each.incident for each in taken if each.open))


def _listener(wiring: Wiring, name: str) -> Hears:
    try:
        detector = wiring.detector(name)
    except InvalidInput as error:
        raise KeyquellError(error.message, hint=error.hint) from error
    if not isinstance(detector, Hears):
        raise Unavailable(f"the detector {name!r} takes no webhooks.", subject=name, hint="It is polled, or read from.")
    return detector


def _reader(wiring: Wiring, tool: str, source: str) -> ReadsFindings:
    """The configured detector of this name, else one of this type, else one with no options but the key."""
    entries = [each for each in wiring.settings.detectors if tool in (each.get("name"), each.get("type"))]
    entries.sort(key=lambda each: each.get("name") not in (tool, source))
    if not entries and tool not in _READ:
        raise InvalidInput(
            f"{tool!r} is neither a detector of {wiring.settings.source} nor a tool whose output can be read.",
            hint=f"These can: {', '.join(tools())}.",
        )
    if entries and not source:
        reader = wiring.detector(str(entries[0].get("name", entries[0].get("type"))))
    else:
        entry = entries[0] if entries else {"type": tool, **_key(wiring, tool)}
        options = {name: value for name, value in entry.items() if name not in ("type", "name", EXPECT_EVERY)}
        kind = str(entry.get("type"))
        reader = open_adapter("detectors", kind, name=source or tool, options=options, clock=wiring.clock)
    if not isinstance(reader, ReadsFindings):
        raise InvalidInput(f"{tool!r} does not read documents.", hint=f"These do: {', '.join(tools())}.")
    return reader


def _key(wiring: Wiring, tool: str) -> dict[str, str]:
    """The installation's key where it usually is, for the readers of leaked text."""
    place = wiring.settings.state / "installation.key"
    return {"key_file": str(place)} if tool in _OF_SECRETS and place.exists() else {}
