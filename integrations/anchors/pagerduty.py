"""Checkpoints as notes on the case's PagerDuty incident: whoever can write our record cannot rewrite them there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from integrations.options import read_options
from integrations.vendors.pagerduty import PagerDutyAccount, PagerDutyClients
from integrations.vendors.pagerduty_alert import alert_key
from integrations.vendors.pagerduty_incidents import PagerDutyIncidents
from playbooks.errors import InvalidInput, Unreachable
from playbooks.evidence.anchors import Anchored, Sealed
from playbooks.ports import Clock


class PagerDutyNote:
    """Notes through the account of a pager that is configured with ``api_token`` and ``from_email``."""

    place = "pagerduty"

    def __init__(self, name: str, account: PagerDutyAccount) -> None:
        self.name = name
        self._clients = PagerDutyClients(account)
        self._rest = PagerDutyIncidents(self._clients, from_email=account.from_email)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """``options`` are those of the pager.  Raises InvalidInput when it has no REST API, or naming the field."""
        del clock  # PagerDuty stamps its own times
        own = {field: value for field, value in options.items() if field in PagerDutyAccount.model_fields}
        account = read_options(PagerDutyAccount, f"anchors.{name}", own)
        if not (account.api_token and account.from_email):
            hint = "Give the pager api_token and from_email."
            raise InvalidInput(f"anchors.{name}: a note needs the REST API of PagerDuty.", hint=hint)
        return cls(name, account)

    def anchor(self, checkpoint: Sealed) -> Anchored | None:
        """Write the note, unless it stands there; None when nobody was called.

        Raises Unreachable while PagerDuty has not opened its incident, else what the REST API answers.
        """
        if not checkpoint.links:
            return None
        found = self._rest.find(alert_key(checkpoint.incident))
        if found is None:
            message = f"PagerDuty has not opened its incident for {checkpoint.incident} yet."
            raise Unreachable(message, subject=checkpoint.incident, code="not-yet", hint="It is tried again.")
        theirs, text = str(found["id"]), f"{checkpoint.words}\n{checkpoint.content.decode()}"
        note = self._rest.find_note(theirs, text) or self._rest.note(theirs, text)
        return Anchored(f"pagerduty:incidents/{theirs}/notes/{note}")

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()
