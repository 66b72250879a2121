"""From a form to an open incident: the form opens at once, the incident before anything else is said to Slack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from integrations.slack import forms
from integrations.slack.answers import Place
from integrations.slack.context import BUSY, Context, actor
from integrations.slack.declaration import Declaration, Mistakes, declaration
from integrations.slack.limits import escaped
from integrations.slack.words import explained
from playbooks.codenames import codename
from playbooks.desk import Target
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.exposures import Exposure

_FORM_PATIENCE_SECONDS = 2.0
_SEARCH_PATIENCE_SECONDS = 2.2
"""Slack waits 3 s for the answer to a search."""


class Declaring:
    """``/keyquell declare`` and its form."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def open_form(self, place: Place, trigger: str, words: str) -> None:
        """Open the form while the trigger lives, then fill it; ``words`` choose the best match in the estate."""
        context = self._context
        form = await context.answers.open_view(trigger, forms.loading("Declare an incident", "One moment …"))
        if not form:
            cli = "or declare with `keyquell declare` on the command line"
            await context.answers.whisper(place, f"Slack did not open the form. Run the command again, {cli}.")
            return
        try:
            chosen = await self._best(place, words)
        except KeyquellError as error:
            await context.answers.update_view(form, forms.told("Declare an incident", explained(error, "Not now.")))
            return
        await context.answers.update_view(form, forms.declaring(metadata={"c": place.channel}, chosen=chosen))

    async def search(self, ack: Any, body: dict[str, Any]) -> None:
        """Offer the entries of the estate that match what was typed so far; none when the desk is late or says no."""
        who = actor(body["user"]["id"])
        looking = self._context.questions.call(self._context.desk.targets, who, str(body.get("value", "")), limit=100)
        try:
            found = await asyncio.wait_for(looking, _SEARCH_PATIENCE_SECONDS)
        except Exception:  # noqa: BLE001 - an empty list is the only answer that Slack knows for "cannot say"
            found = []
        await ack(options=[forms.option(each) for each in found if each.kind != "dataset"][:100])

    async def submitted(self, ack: Any, body: dict[str, Any]) -> None:
        """Take the form: say what is wrong with it, or acknowledge and declare."""
        context, view = self._context, body["view"]
        read = declaration(view, now=context.clock())
        if context.moves.full:
            read = Mistakes({forms.NOTE: BUSY})
        if isinstance(read, Mistakes):
            await ack(response_action="errors", errors=dict(read.by_field))
            return
        await ack()
        if context.deliveries.first(f"view:{view['id']}"):
            place = Place(body["user"]["id"], channel_of(view))

            async def job() -> None:
                await self.declare(place, [await self._exposure(place, read)], read.severity, read.note, view["id"])

            await context.begin(context.moves, place, job, failed="Nothing was declared.")

    async def declare(self, place: Place, exposures: Sequence[Exposure], severity: str, note: str, form: str) -> None:
        """Open the incident, exactly once for each form, and tell its codename to the person."""
        context, who = self._context, actor(place.user)
        incident = await context.moves.call(
            context.desk.declare, who, exposures, severity=severity, note=note, origin=f"slack:view:{form}"
        )
        mark, name = "", codename(incident)
        try:
            card = await context.moves.call(context.desk.card, who, incident)
            mark, name = "*EXERCISE* · " if card.exercise else "", card.codename
        except KeyquellError:
            pass
        await context.answers.direct(
            place.user,
            f"{mark}Incident *{escaped(name)}* (`{escaped(incident)}`) is open, and its pre-approved containment has"
            f" started. Its channel follows. Ask any time: `{context.command} status {escaped(name)}`.",
        )

    async def _best(self, place: Place, words: str) -> Target | None:
        """The best match of the words, once the desk says that the person may search; None when it is slow."""
        context = self._context
        looking = context.questions.call(context.desk.targets, actor(place.user), words, limit=5)
        try:
            found = await asyncio.wait_for(looking, _FORM_PATIENCE_SECONDS)
        except TimeoutError:
            return None
        return next((each for each in found if words and each.kind != "dataset"), None)

    async def _exposure(self, place: Place, read: Declaration) -> Exposure:
        if forms.is_uri(read.choice):
            return read.exposure(read.choice)
        context = self._context
        words = read.label.rpartition(" (")[0].rstrip("…") or read.label.rstrip("…")
        for each in await context.moves.call(context.desk.targets, actor(place.user), words, limit=1000):
            if forms.same(read.choice, each.uri):
                return read.exposure(each.uri)
        raise InvalidInput("the chosen key is not in the estate any more", hint="Search for it again.")


def channel_of(view: dict[str, Any]) -> str:
    """The channel in which the form was asked for; "" when it is not known."""
    return str(metadata_of(view).get("c", ""))


def metadata_of(view: dict[str, Any]) -> dict[str, Any]:
    """What the form remembers."""
    try:
        found = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
