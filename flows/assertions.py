"""What a passkey signed, verified again later with nothing but the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations import passkeys
from playbooks import deeds
from playbooks.errors import NotApproved, RecordError
from playbooks.event_bodies import ApprovalGiven, Body, Confirmed, check_body
from playbooks.plans import Plan
from playbooks.record import EventKind


def verify_assertion(
    event_body: ApprovalGiven | Confirmed | Mapping[str, Any], plan: Plan | None, *, incident: str = ""
) -> None:
    """Verify the evidence of a recorded approval or confirmation again, offline, with nothing but the record.

    ``incident`` is the id, needed for a confirmation; a mapping that names a deed is read as one.  Raises RecordError
    when it does not show that the person's passkey signed exactly this plan and deed.
    """
    given: Body | Mapping[str, Any] = event_body
    if isinstance(given, Mapping):
        given = check_body(EventKind.CONFIRMED if "deed" in given else EventKind.APPROVAL_GIVEN, given)
    if not isinstance(given, ApprovalGiven | Confirmed):
        raise RecordError("this is no approval.")
    who, deed = (given.approver, deeds.APPROVE) if isinstance(given, ApprovalGiven) else (given.by, given.deed)
    if given.assertion is None:
        raise RecordError(f"the approval of {who} ({given.method}) holds no assertion.")
    if (plan.digest if plan else "") != given.digest:
        raise RecordError(f"{who} approved another plan than this one.")
    digest = deeds.vouched(incident, digest=given.digest, deed=deed)
    try:
        passkeys.check_again(given.assertion, digest=digest, approver=who)
    except NotApproved as error:
        raise RecordError(f"the approval of {who} is not what its passkey signed: {error.message}") from error
