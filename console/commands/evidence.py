"""Commands of the evidence: sign a checkpoint, pack a case, verify a pack with nothing but the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from console.commands.incidents import As, Id, sitting
from console.output import Common, ExitCode, show

if TYPE_CHECKING:
    from flows.anchoring import Laid
    from playbooks.evidence.checking import Verdict
    from playbooks.record import Event

evidence = App(name="evidence", help="What shows an auditor what happened: signed checkpoints and evidence packs.")


@evidence.command
def pack(
    incident: Id,
    /,
    *,
    output: Annotated[Path, Parameter(help="File to write; it must not exist.")],
    by: As = "",
    common: Common = Common(),
) -> int:
    """Sign the record as it stands and write one file with the evidence of a case; it holds no secret."""
    from flows.evidence import make_pack
    from flows.wiring import Wiring
    from playbooks.errors import InvalidInput

    if output.exists():
        raise InvalidInput(f"{output} is there already.", hint="Evidence is not written over: name another file.")
    with Wiring.from_file(common.config) as wiring:
        made = make_pack(wiring, sitting(wiring, by), incident, pages=_pages)
    try:
        with output.open("xb") as file:
            file.write(made.data)
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written ({error.strerror}).") from error
    data = {"incident": made.incident, "file": str(output), "head": made.head, "fingerprint": made.fingerprint}
    show(
        common,
        {**data, "events": made.events, "bytes": len(made.data)},
        f"{output}: {made.files} files, {made.events} events up to head {made.head}.",
        f"Signed by the key {made.fingerprint}.",
        "Tell whoever verifies it this fingerprint another way than with the file.",
    )
    return ExitCode.OK


@evidence.command
def verify(
    file: Annotated[Path, Parameter(help="The pack.")],
    /,
    *,
    trust: Annotated[
        list[str] | None,
        Parameter(help="SHA-256 fingerprint, or file with the public key (PEM), of whom you trust; repeatable."),
    ] = None,
    tsa_roots: Annotated[
        list[Path] | None, Parameter(help="File with root certificates (PEM) of time-stamp authorities; repeatable.")
    ] = None,
    common: Common = Common(),
) -> int:
    """Check a pack offline: what it proves, what failed, and what nobody could verify; exit code 1 when it fails."""
    from flows.evidence import verify_pack
    from playbooks.errors import InvalidInput

    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}).") from error
    found = verify_pack(data, trust=trust or (), tsa_roots=tsa_roots or ())
    show(common, _data(found, file), *_lines(found, file))
    return ExitCode.OK if found.holds else ExitCode.FAILED


@evidence.command
def checkpoint(incident: Id, /, *, by: As = "", common: Common = Common()) -> int:
    """Sign the record of a case and lay that down off this host; exit code 1 when a place failed."""
    from flows.evidence import sign_checkpoint
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        made = sign_checkpoint(wiring, sitting(wiring, by), incident)
    signed = made.checkpoint
    data = {
        "incident": made.incident,
        "event": signed.seq,
        "head": signed.head,
        "key": signed.key,
        "fingerprint": made.fingerprint,
        "anchors": [{"anchor": each.anchor, "reference": each.reference, "error": each.error} for each in made.laid],
    }
    text = f"Events 0 to {signed.seq} of {made.incident} are signed, head {signed.head}, by the key {signed.key}."
    show(common, data, text, f"SHA-256 of the public key: {made.fingerprint}", *map(_laid, made.laid))
    return ExitCode.FAILED if any(each.failed for each in made.laid) else ExitCode.OK


def _laid(place: Laid) -> str:
    if place.failed:
        return f"NOT at {place.anchor}: {place.error}"
    return f"At {place.anchor}: {place.reference or 'the case has no place there.'}"


def _pages(events: Sequence[Event]) -> Mapping[str, bytes]:
    """The report, and the review as of the last event, for people to read."""
    from console.report.render import render_report
    from console.report.review import review_html

    return {
        "report.html": render_report(None, events).encode(),
        "review.html": review_html(events, now=events[-1].at).encode(),
    }


def _data(found: Verdict, file: Path) -> dict[str, object]:
    return {
        "file": str(file),
        "verified": found.holds,
        "incident": found.incident,
        "exercise": found.exercise,
        "events": found.events,
        "head": found.head,
        "fingerprint": found.signer,
        "proven": found.proven,
        "failed": found.failed,
        "not_verified": found.open,
    }


def _lines(found: Verdict, file: Path) -> list[str]:
    case = f" ({found.incident}{', an exercise' if found.exercise else ''})" if found.incident else ""
    lines = [f"{'VERIFIED' if found.holds else 'NOT VERIFIED'}: {file}{case}"]
    for title, sentences in (
        ("Failed", found.failed),
        ("Proven", found.proven),
        ("Not verified here", found.open),
    ):
        if sentences:
            lines += ["", f"{title}:", *(f"  - {each}" for each in sentences)]
    return lines
