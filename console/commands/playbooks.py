"""Commands on playbooks: list, show, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Common, ExitCode, show

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
    import yaml

    from playbooks.errors import InvalidInput
    from playbooks.playbook import catalog

    found = catalog()
    if name not in found:
        raise InvalidInput(f"there is no playbook {name!r}.", hint=f"Known: {', '.join(sorted(found))}.")
    data = found[name].model_dump(mode="json")
    show(common, data, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110).rstrip())
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
