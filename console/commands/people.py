"""Commands on the people who may respond: the roster and their passkeys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from console.output import Common, ExitCode, login_name, show
from playbooks.errors import InvalidInput

if TYPE_CHECKING:
    from flows.passkey_register import KnownPasskey, PasskeyRegister
    from flows.wiring import Wiring
    from playbooks.roster import Person, Roster

roster = App(name="roster", help="The people who may respond, and their passkeys.")

Name = Annotated[str, Parameter(help="Name of the person, as in the roster.")]


@roster.command
def check(*, common: Common = Common()) -> int:
    """Check the roster, and whether the people in it could approve what they may."""
    from flows.passkey_register import read_register
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found = _roster(wiring)
        faults = list(_faults(wiring, found, read_register(wiring)))
    lines = [Text.assemble(("✘ ", "red"), each) for each in faults]
    closing = "Nobody is locked out." if not faults else f"{len(faults)} of its weaknesses need a look."
    data = {"people": len(found.people), "ok": not faults, "faults": faults}
    show(common, data, *lines, Text(f"{len(found.people)} people. {closing}"))
    return ExitCode.FAILED if faults else ExitCode.OK


@roster.command(name="show")
def show_roster(*, common: Common = Common()) -> int:
    """Show who may do what now, and who has a passkey."""
    from flows.passkey_register import read_register
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found, register, now = _roster(wiring), read_register(wiring), wiring.clock()
        data = [_person_data(each, _roles(wiring, each), register.of(each.name)) for each in found.people]
    table = Table("name", "may now", "passkeys", "Slack", box=None, header_style="bold")
    for each in data:
        passkeys = ", ".join(f"{one['label'] or 'no label'} ({one['id'][:8]})" for one in each["passkeys"])
        table.add_row(each["name"], ", ".join(each["roles"]) or "nothing", passkeys or "none", ", ".join(each["slack"]))
    show(common, {"at": now.isoformat(), "people": data}, table)
    return ExitCode.OK


@roster.command
def enrol(name: Name, /, *, common: Common = Common()) -> int:
    """Make a single-use link by which a person enrols a passkey; give it to them on a channel you trust."""
    from flows.step_up import invite
    from flows.wiring import Wiring
    from playbooks.timings import rfc3339

    with Wiring.from_file(common.config) as wiring:
        made = invite(wiring, person=name, by=login_name())
    data = {"person": name, "link": made.link, "expires_at": rfc3339(made.expires_at)}
    ends = f"{made.expires_at:%H:%M:%S} UTC"
    show(common, data, f"For {name} alone, once, until {ends}; `keyquell serve` must be running:", made.link)
    return ExitCode.OK


@roster.command(name="remove-passkey")
def remove(
    name: Name,
    passkey: Annotated[str, Parameter(help="Label of the passkey, or the start of its id.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why: lost, replaced, stolen.")],
    common: Common = Common(),
) -> int:
    """Let a passkey count no more."""
    from flows.passkey_register import remove_passkey
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        gone = remove_passkey(wiring, passkey, person=name, by=login_name(), reason=reason)
    data = {"person": gone.person, "removed": _passkey_data(gone)}
    show(common, data, f"The passkey {gone.label or gone.credential_id[:8]} of {gone.person} counts no more.")
    return ExitCode.OK


def _roster(wiring: Wiring) -> Roster:
    found = wiring.roster
    if found is None:
        hint = "Write one, and name it with `roster: ./roster.yaml` in the settings."
        raise InvalidInput(f"{wiring.settings.source} names no roster, so names count as given.", hint=hint)
    return found


def _faults(wiring: Wiring, found: Roster, register: PasskeyRegister) -> Iterator[str]:
    from playbooks.roster import Role

    now = wiring.clock()
    for role, least in ((Role.DECLARE, 1), (Role.CONTAIN, 1), (Role.APPROVE, 2), (Role.RETIRE, 2)):
        holders = list(found.holders(role, now))
        if len(holders) < least:
            yield f"{len(holders)} may {role.value}, {least} at least are needed."
        without = [each.name for each in holders if role in _STRONG and not register.of(each.name)]
        if without:
            listed = ", ".join(without)
            yield f"{listed} may {role.value} and cannot: no passkey. `keyquell roster enrol NAME` invites."
    reachable = {each.name for each in found.reachable([each.name for each in found.people], now)}
    for what, names in (("escalation", found.escalation.people), ("custodians", found.custodians)):
        if not names:
            yield f"{what} is empty: nobody is called."
        if gone := [each for each in names if each not in reachable]:
            yield f"{', '.join(gone)} of {what} left."


_STRONG = ("approve", "retire")


def _roles(wiring: Wiring, person: Person) -> list[str]:
    from playbooks.roster import Role, objection

    return [role.value for role in Role if not objection(person, (role,), wiring.clock())]


def _person_data(person: Person, roles: list[str], passkeys: list[KnownPasskey]) -> dict[str, Any]:
    return {
        "name": person.name,
        "display": person.display,
        "roles": roles,
        "slack": list(person.slack),
        "one_time_codes": bool(person.totp),
        "passkeys": [_passkey_data(each) for each in passkeys],
    }


def _passkey_data(passkey: KnownPasskey) -> dict[str, Any]:
    from playbooks.timings import rfc3339

    return {"id": passkey.credential_id, "label": passkey.label, "enrolled_at": rfc3339(passkey.enrolled_at)}
