"""Commands on the estate: inventory import, show, discover; blast-radius."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from console.commands.exchange import Output, Replace, bring_in, export
from console.commands.incidents import Kind
from console.output import Common, ExitCode, show
from playbooks.exposures import ExposureKind
from playbooks.refs import parse_ref

inventory = App(name="inventory", help="What keys exist, what hangs on them, and who uses it.")


inventory.command(export)


@inventory.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="Estate as YAML or JSON, or a bill of materials (CycloneDX JSON).")],
    /,
    *,
    output: Output = None,
    replace: Replace = False,
    against: Annotated[bool, Parameter(help="Show what is new, different or missing.", negative="")] = False,
    common: Common = Common(),
) -> int:
    """Check an estate file and make it the inventory; the old one stays beside it as .previous.

    A CycloneDX document becomes an estate fragment for you to look at instead: the inventory is not changed.
    """
    from flows.documents import load_estate
    from flows.inventory_exchange import is_cyclonedx
    from flows.settings import load_settings
    from integrations.secrets import write_secret
    from playbooks.errors import InvalidInput

    if not file.exists():
        raise InvalidInput(f"there is no file {file}.")
    if is_cyclonedx(file):
        return bring_in(file, output, replace=replace, against=against, common=common)
    if output is not None or replace or against:
        raise InvalidInput("--output, --replace and --against are for CycloneDX documents.", hint="Leave them out.")
    estate = load_estate(file)
    place = load_settings(common.config).estate
    if place.exists():
        write_secret(f"file:{place}.previous", place.read_text(encoding="utf-8"))
    place.parent.mkdir(parents=True, exist_ok=True)
    write_secret(f"file:{place}", file.read_text(encoding="utf-8"))
    counts = _counts(estate)
    show(common, {"estate": str(place), **counts}, f"{place} now holds {_sentence(counts)}.")
    return ExitCode.OK


@inventory.command(name="show")
def show_(*, common: Common = Common()) -> int:
    """Show the inventory."""
    from rich.table import Table
    from rich.text import Text

    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        estate = wiring.estate
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for kind, entries in (("key", estate.keys), ("dataset", estate.datasets), ("credential", estate.credentials)):
        for entry in entries:
            table.add_row(
                kind, Text(str(entry.ref)), Text(getattr(entry, "owner", "") or getattr(entry, "consumer", ""))
            )
    for certificate in estate.certificates:
        table.add_row("certificate", Text(str(certificate.ref)), Text(certificate.subject))
    for consumer in estate.consumers:
        table.add_row("consumer", Text(consumer.name), Text(consumer.owner))
    show(common, estate.model_dump(mode="json"), table, f"{_sentence(_counts(estate))}.")
    return ExitCode.OK


@inventory.command
def discover(
    connection: Annotated[str, Parameter(help="One connection of the settings. Default: all that hold keys.")] = "",
    /,
    *,
    common: Common = Common(),
) -> int:
    """Ask the key backends which keys they hold, and show those that the inventory does not list."""
    from flows.discover import discover_keys
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found = discover_keys(wiring, connection)
    unlisted = [str(each.key) for each in found if not each.listed]
    lines = [f"{'  ' if each.listed else '+ '}{each.key}" for each in found]
    data = [{"key": str(each.key), "listed": each.listed} for each in found]
    show(common, {"keys": data, "unlisted": unlisted}, *lines, _unlisted(len(unlisted), len(found)))
    return ExitCode.OK


def blast_radius(
    target: Annotated[str, Parameter(help="URI of the exposed key or credential.")],
    /,
    *,
    kind: Annotated[Kind, Parameter(help="What the attacker has.")] = "credential",
    via: Annotated[str, Parameter(help="URI of the credential through which it got out, if known.")] = "",
    common: Common = Common(),
) -> int:
    """Show what is reachable from an exposure, and what is not known."""
    from flows.wiring import Wiring
    from playbooks.blast_radius import blast_radius as compute
    from playbooks.blast_radius import to_text
    from playbooks.exposures import Exposure

    target, via = str(parse_ref(target)), str(parse_ref(via)) if via else ""
    exposure = Exposure(kind=ExposureKind(kind), target=target, via=via, confidence=1.0)
    with Wiring.from_file(common.config) as wiring:
        radius = compute(wiring.estate, [exposure])
    show(common, radius.model_dump(mode="json"), to_text(radius))
    return ExitCode.OK


def _unlisted(unlisted: int, found: int) -> str:
    if not found:
        return "No keys were found."
    if not unlisted:
        return f"All {found} found are in the inventory." if found > 1 else "The one found is in the inventory."
    return f"{unlisted} of {found} (+) are not in the inventory: add them to the estate and import it."


def _counts(estate: Any) -> dict[str, int]:
    return {
        name: len(getattr(estate, name)) for name in ("keys", "datasets", "credentials", "certificates", "consumers")
    }


def _sentence(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
