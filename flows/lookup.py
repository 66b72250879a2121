"""Which incident, and which plan, a person means by a word."""

from __future__ import annotations

from difflib import get_close_matches

from flows.code_names import code_names
from flows.wiring import Wiring
from playbooks.errors import InvalidInput
from playbooks.incident import Incident
from playbooks.plans import Plan


def named(wiring: Wiring, word: str) -> str:
    """The id behind an id or a code name.  Raises InvalidInput with the nearest ones when there is none."""
    by_name = code_names(wiring)
    if word in by_name:
        return word
    found = [each for each, codename in by_name.items() if codename == word.lower() or each == word.upper()]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(f"{word} names several incidents: {', '.join(found)}.", hint="Give the id.")
    near = get_close_matches(word, [*by_name, *by_name.values()], n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else "`keyquell status` lists the open ones."
    raise InvalidInput(f"there is no incident {word!r}.", hint=hint)


SHORTEST_DIGEST = 12
"""Hexadecimal digits that name a plan on the terminal: 48 bits, which no plan can be bent to hit while a case is open.

Chat, page and passkey carry the whole digest, and a passkey signs nothing less.
"""


def plan_seen(incident: Incident, digest: str) -> Plan:
    """The current plan, when this is its digest, or ``SHORTEST_DIGEST`` digits of it or more; else InvalidInput."""
    plan = incident.plan
    if plan is None or len(digest) < SHORTEST_DIGEST or not plan.digest.startswith(digest):
        current = plan.digest[:12] if plan else "none"
        raise InvalidInput(
            f"the plan of {incident.id} has the digest {current}…, not {digest[:12]!r}.",
            hint=f"Look at it with `keyquell plan {incident.id}` and approve what you saw.",
        )
    return plan
