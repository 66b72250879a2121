"""The estate out to, and in from, a CycloneDX document; nothing that stands is changed here."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import yaml

from flows.key_health import latest_facts
from flows.wiring import Wiring
from integrations.cyclonedx_text import MOST_BYTES, check, parse, text
from integrations.secrets import write_secret
from playbooks.cbom.components import Spec
from playbooks.cbom.reading import Reading, read
from playbooks.cbom.writing import write
from playbooks.errors import InvalidInput
from playbooks.estate import Estate

_PIN = "pin-value="


def export_cbom(wiring: Wiring, *, spec: Spec = "1.6") -> str:
    """The estate as a CycloneDX document, checked against its schema; facts are those that cases have read.

    Raises InvalidInput when the estate cannot be read, lists something twice, or holds what may be a secret.
    """
    document = write(
        wiring.estate, latest_facts(wiring), at=wiring.clock(), version=version("keyquell"), spec=spec
    )  # fmt: skip
    check(document)
    made = text(document)
    if _PIN in made.lower():
        raise InvalidInput(
            "a free text of the estate holds a PIN (pin-value).", hint="Take it out. Nothing was written."
        )
    return made


def is_cyclonedx(file: Path) -> bool:
    """Does the file look like a CycloneDX document?  Raises InvalidInput when it cannot be read."""
    content = _content(file)
    return content.lstrip().startswith(b"{") and b'"bomFormat"' in content


def read_cbom(file: Path) -> Reading:
    """Read a document.  Raises InvalidInput naming the file and what is wrong."""
    try:
        return read(parse(_content(file)))
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error.message}", hint=error.hint) from error


def estate_yaml(estate: Estate) -> str:
    """The estate as YAML in ASCII, without what is left at its default."""
    data = {"version": estate.version} | estate.model_dump(mode="json", exclude_defaults=True)
    return str(yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))


def save(place: Path, content: str, *, replace: bool) -> None:
    """Write a file, readable by its owner alone.  Raises InvalidInput when it exists and ``replace`` is not given."""
    if place.exists() and not replace:
        raise InvalidInput(f"{place} exists.", hint="Name another file, or say --replace. Nothing was written.")
    if not place.parent.is_dir():
        raise InvalidInput(f"there is no folder {place.parent}.", hint="Make it first. Nothing was written.")
    write_secret(f"file:{place}", content)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read ({error.strerror}).") from error
