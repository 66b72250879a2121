"""Commands on playbooks: list, show, validate, and to and from CACAO 2.0."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from console.output import Common, ExitCode, print_json, show

if TYPE_CHECKING:
    from playbooks.playbook import Playbook

Replace = Annotated[bool, Parameter(help="Write over the file of --output if it is there.", negative="")]

playbook = App(name="playbook", help="The playbooks that turn an incident into a plan.")


@playbook.command(name="list")
def list_(*, common: Common = Common()) -> int:
    """List the playbooks."""
    from playbooks.playbook import catalog

    found = catalog()
    width = max(len(name) for name in found)
    data = [{"name": each.name, "version": each.version, "title": each.title} for each in found.values()]
    show(common, {"playbooks": data}, *(f"{each.name:{width}}  {each.title}" for each in found.values()))
    return ExitCode.OK


@playbook.command(name="show")
def show_(name: Annotated[str, Parameter(help="Name of the playbook.")], /, *, common: Common = Common()) -> int:
    """Show one playbook as YAML."""
    found = _of_catalog(name)
    show(common, found.model_dump(mode="json"), _as_yaml(found))
    return ExitCode.OK


@playbook.command
def validate(file: Annotated[Path, Parameter(help="Playbook as YAML.")], /, *, common: Common = Common()) -> int:
    """Check a playbook file; an error names the line and what was expected."""
    from playbooks.errors import InvalidInput
    from playbooks.playbook import load

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read ({error}).") from error
    loaded = load(text, file=str(file))
    data = {"file": str(file), "name": loaded.name, "version": loaded.version, "valid": True}
    show(common, data, f"{file} is a valid playbook: {loaded.name}, version {loaded.version}.")
    return ExitCode.OK


@playbook.command
def export(
    name: Annotated[str, Parameter(help="Name of the playbook.")],
    /,
    *,
    format: Annotated[  # noqa: A002 - the option is called so
        Literal["cacao"], Parameter(help="CACAO Security Playbooks 2.0.")
    ] = "cacao",
    output: Annotated[Path | None, Parameter(help="File to write. Default: standard output.")] = None,
    created: Annotated[datetime | None, Parameter(help="When version 1 was made, in UTC. Default: now.")] = None,
    modified: Annotated[datetime | None, Parameter(help="When this version was made, in UTC. Default: now.")] = None,
    created_by: Annotated[str, Parameter(help="Your STIX identity, identity--UUID. Default: keyquell's.")] = "",
    replace: Replace = False,
    common: Common = Common(),
) -> int:
    """Write one playbook as a CACAO 2.0 document that loses nothing on the way back."""
    import json

    from playbooks.cacao import export as as_cacao
    from playbooks.cacao.extension import IDENTITY

    now = datetime.now(UTC)
    first, this = _aware(created) or now, _aware(modified) or now
    document = as_cacao(_of_catalog(name), created=first, modified=this, created_by=created_by or IDENTITY)
    if output is None:
        print_json(document)
        return ExitCode.OK
    _write(output, json.dumps(document, indent=2) + "\n", replace=replace)
    data = {"name": name, "file": str(output), "format": format, "id": document["id"]}
    show(common, data, f"{output} holds {name} as {document['id']}, {len(document['workflow'])} steps.")
    return ExitCode.OK


@playbook.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="CACAO 2.0 document as JSON.")],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="File to write the playbook to, as YAML.")] = None,
    replace: Replace = False,
    common: Common = Common(),
) -> int:
    """Read a CACAO 2.0 document strictly and show the playbook it became; nothing in it is run."""
    from playbooks.cacao import MAX_BYTES
    from playbooks.cacao import import_ as from_cacao
    from playbooks.errors import InvalidInput

    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}).") from error
    became = from_cacao(raw, file=str(file))
    text = _as_yaml(became.playbook)
    if output is not None:
        _write(output, text + "\n", replace=replace)
    data = {
        "playbook": became.playbook.model_dump(mode="json"),
        "source": became.source,
        "not_kept": list(became.not_kept),
        "file": str(output) if output else None,
    }
    show(common, data, *_said_of(became.source, became.not_kept), text)
    return ExitCode.OK


def _said_of(source: Literal["extension", "steps"], not_kept: tuple[str, ...]) -> list[str]:
    """What a reader of the YAML must know first, as comments in it."""
    if source == "extension":
        return ["# Exactly as keyquell exported it. Who wrote the file is not proven: read it before you use it."]
    lost = [f"# Not kept: {', '.join(not_kept)}"] if not_kept else []
    return ["# Mapped step by step. Where the document is silent, one person must agree.", *lost]


def _of_catalog(name: str) -> Playbook:
    from playbooks.errors import InvalidInput
    from playbooks.playbook import catalog

    found = catalog()
    if name not in found:
        raise InvalidInput(f"there is no playbook {name!r}.", hint=f"Known: {', '.join(sorted(found))}.")
    return found[name]


def _as_yaml(found: Playbook) -> str:
    import yaml

    data = found.model_dump(mode="json")
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _write(file: Path, text: str, *, replace: bool) -> None:
    """Write a file; one that is there stays as it is unless its writer was told to replace it."""
    from playbooks.errors import InvalidInput

    try:
        with file.open("w" if replace else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise InvalidInput(f"{file} is there already.", hint="Name another file, or say --replace.") from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written ({error.strerror}).") from error
