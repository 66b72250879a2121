"""What the inventory commands say of a bill of materials: inventory export, and import of a CycloneDX document."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from console.output import Common, ExitCode, show

if TYPE_CHECKING:
    from playbooks.cbom.differences import Differences
    from playbooks.cbom.reading import Reading

_SHOWN = 20
"""Lines of each list for people; --json has all."""

Output = Annotated[Path | None, Parameter(name=["--output", "-o"], help="File to write. Default: standard output.")]
Replace = Annotated[bool, Parameter(help="The file may replace one that exists.", negative="")]


def export(
    *,
    format: Annotated[Literal["cyclonedx"], Parameter(help="A cryptography bill of materials.")],  # noqa: A002 - the option is called so
    spec: Annotated[Literal["1.6", "1.7"], Parameter(help="Version of CycloneDX.")] = "1.6",
    output: Output = None,
    replace: Replace = False,
    common: Common = Common(),
) -> int:
    """Write the inventory for other tools, without any secret; of a key only what a case has read from its backend."""
    from flows.inventory_exchange import export_cbom, save
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        made = export_cbom(wiring, spec=spec)
        keys = len(wiring.estate.keys)
    if output is None:
        sys.stdout.write(made)
        return ExitCode.OK
    save(output, made, replace=replace)
    show(common, {"file": str(output), "keys": keys}, f"{output} holds {_count(keys, 'key')} and what hangs on them.")
    return ExitCode.OK


def bring_in(file: Path, output: Path | None, *, replace: bool, against: bool, common: Common) -> int:
    """Read a CycloneDX document into a fragment of an estate; the inventory itself is not changed."""
    from flows.documents import load_estate
    from flows.inventory_exchange import estate_yaml, read_cbom, save
    from flows.settings import load_settings
    from playbooks.cbom.differences import differences

    reading = read_cbom(file)
    found = differences(load_estate(load_settings(common.config).estate), reading.estate) if against else None
    if output is not None:
        save(output, estate_yaml(reading.estate), replace=replace)
    lines = [*_compared(found), *_remarks(reading)]
    if output is not None:
        lines.append(f"{output} holds the fragment; the inventory was not changed.")
    elif not against and not common.json:
        sys.stdout.write(estate_yaml(reading.estate))
        lines = [f"# {line}" for line in lines]
    show(common, _data(reading, found, output), *lines)
    return ExitCode.OK


def _data(reading: Reading, found: Differences | None, output: Path | None) -> dict[str, Any]:
    return {
        "file": str(output) if output else None,
        "estate": reading.estate.model_dump(mode="json"),
        "unconnected": [asdict(each) for each in reading.unconnected],
        "unknown_references": list(reading.unknown_references),
        "with_values": list(reading.with_values),
        "differences": asdict(found) if found is not None else None,
    }


def _compared(found: Differences | None) -> list[str]:
    if found is None:
        return []
    different = [f"  {each.kind} {each.name}: {', '.join(each.fields)}" for each in found.different]
    lines = [
        *_listed(len(found.new), "new", [f"  {kind} {name}" for kind, name in found.new]),
        *_listed(len(different), "different", different),
        *_listed(len(found.missing), "missing in the document", [f"  {kind} {name}" for kind, name in found.missing]),
    ]
    return lines or ["The document and the inventory say the same."]


def _remarks(reading: Reading) -> list[str]:
    loose = [
        f"  {each.place} ({', '.join(filter(None, (each.name, each.kind, each.algorithm)))}): "
        "which connection holds it?"
        for each in reading.unconnected
    ]
    unknown = [f"  {each}" for each in reading.unknown_references]
    values = [f"  {each}" for each in reading.with_values]
    return [
        *_listed(len(loose), "not connected", loose),
        *_listed(len(unknown), "referred to and not in the document", unknown),
        *_listed(len(values), "with a value, which was not read: it may be a secret", values),
    ]


def _listed(count: int, what: str, lines: list[str]) -> list[str]:
    if not count:
        return []
    rest = [f"  and {count - _SHOWN} more (--json has all)"] if count > _SHOWN else []
    return [f"{count} {what}:", *lines[:_SHOWN], *rest]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + 's'}"
