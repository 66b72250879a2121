"""The buttons of a card: a click is intent; what it may do is decided by the desk, from the roster, at that moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from integrations.slack import forms
from integrations.slack.answers import Place
from integrations.slack.card_blocks import ACTION_PREFIX, moment, read_value
from integrations.slack.context import BUSY, Context, actor
from integrations.slack.declaration import Mistakes, outcome, reason
from integrations.slack.declaring import metadata_of
from integrations.slack.limits import Json, escaped
from playbooks.desk import StepUp
from playbooks.errors import KeyquellError

LINK = f"{ACTION_PREFIX}passkey"

_Move = Callable[[Place, str, str], Awaitable[None]]


class Buttons:
    """*Contain now*, *Approve*, *Deny*, *Undo*, *Stand down*, *Acknowledge*; a button's value is ``{"i", "d"}``.

    ``i`` is the incident, ``d`` the digest of the plan that the person saw: the desk refuses when it has changed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._moves: dict[str, _Move] = {
            "contain": self._contain,
            "approve": self._approve,
            "undo": self._undo,
            "acknowledge": self._acknowledge,
        }

    async def pressed(self, ack: Any, body: dict[str, Any]) -> None:
        """Acknowledge, then do it, or open the form that it needs."""
        await ack()
        context, action = self._context, body["actions"][0]
        name = str(action["action_id"]).removeprefix(ACTION_PREFIX)
        channel = (body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id") or ""
        place = Place(body["user"]["id"], str(channel), str(body.get("response_url", "")))
        incident, digest = read_value(str(action.get("value", "")))
        if not incident:
            await context.begin(
                context.moves, place, lambda: self._say(place, "This button is too old. See the card again.")
            )
        elif name in self._moves:
            await context.begin(context.moves, place, lambda: self._moves[name](place, incident, digest))
        else:
            metadata = {"i": incident, "d": digest, "c": place.channel}
            form = (forms.denying if name == "deny" else forms.standing_down)(metadata=metadata)
            trigger = str(body.get("trigger_id", ""))
            await context.begin(context.moves, place, lambda: self._open(place, trigger, form))

    async def denied(self, ack: Any, body: dict[str, Any]) -> None:
        """The form behind *Deny*."""
        await self._submitted(ack, body, reason(body["view"]), forms.REASON, self._deny)

    async def stood_down(self, ack: Any, body: dict[str, Any]) -> None:
        """The form behind *Stand down*."""
        await self._submitted(ack, body, outcome(body["view"]), forms.OUTCOME, self._stand_down)

    async def _submitted(
        self,
        ack: Any,
        body: dict[str, Any],
        read: str | Mistakes,
        field: str,
        move: Callable[[Place, str, str, str], Awaitable[None]],
    ) -> None:
        context, view = self._context, body["view"]
        if context.moves.full:
            read = Mistakes({field: BUSY})
        if isinstance(read, Mistakes):
            await ack(response_action="errors", errors=dict(read.by_field))
            return
        await ack()
        if context.deliveries.first(f"view:{view['id']}"):
            known, words = metadata_of(view), read
            place = Place(body["user"]["id"], str(known.get("c", "")))
            incident, digest = str(known.get("i", "")), str(known.get("d", ""))
            await context.begin(context.moves, place, lambda: move(place, incident, digest, words))

    async def _open(self, place: Place, trigger: str, form: Json) -> None:
        if not await self._context.answers.open_view(trigger, form):
            await self._say(place, "Slack did not open the form. Press the button again, or use the web page.")

    async def _contain(self, place: Place, incident: str, _: str) -> None:
        await self._context.moves.call(self._context.desk.contain, actor(place.user), incident)
        await self._say(
            place, f"Containment of {await self._named(place, incident)} runs. The card shows what is proven."
        )

    async def _approve(self, place: Place, incident: str, digest: str) -> None:
        context = self._context
        step_up = await context.moves.call(context.desk.approve, actor(place.user), incident, digest=digest)
        named = await self._named(place, incident)
        if step_up is None:
            await self._say(place, f"Your approval of plan `{escaped(digest[:12])}` of {named} is recorded.")
        else:
            await self._link(place, step_up, f"Approving the plan of {named}", "Read and approve")

    async def _deny(self, place: Place, incident: str, digest: str, words: str) -> None:
        context = self._context
        await context.moves.call(context.desk.deny, actor(place.user), incident, digest=digest, reason=words)
        await self._say(place, f"You denied the plan of {await self._named(place, incident)}.")

    async def _undo(self, place: Place, incident: str, _: str) -> None:
        step_up = await self._context.moves.call(self._context.desk.undo, actor(place.user), incident)
        named = await self._named(place, incident)
        if step_up is None:
            await self._say(place, f"The reversible steps of {named} are being taken back.")
        else:
            await self._link(place, step_up, f"Taking back what was done for {named}", "Read and undo")

    async def _stand_down(self, place: Place, incident: str, _: str, words: str) -> None:
        context = self._context
        step_up = await context.moves.call(context.desk.stand_down, actor(place.user), incident, outcome=words)
        named = await self._named(place, incident)
        if step_up is None:
            await self._say(place, f"{named} is over: {forms.OUTCOMES[words]}.")
        else:
            await self._link(place, step_up, f"Ending {named}", "Read and end it")

    async def _acknowledge(self, place: Place, incident: str, _: str) -> None:
        await self._context.moves.call(self._context.desk.acknowledge, actor(place.user), incident)
        await self._say(place, f"You have taken {await self._named(place, incident)}.")

    async def _named(self, place: Place, incident: str) -> str:
        context = self._context
        try:
            card = await context.moves.call(context.desk.card, actor(place.user), incident)
        except KeyquellError:
            return f"*{escaped(incident)}*"
        return f"{'*EXERCISE* · ' if card.exercise else ''}*{escaped(card.codename)}*"

    async def _say(self, place: Place, words: str) -> None:
        await self._context.answers.whisper(place, words)

    async def _link(self, place: Place, step_up: StepUp, doing: str, label: str) -> None:
        """The words without the link, which a client might fetch for a preview, and the button that holds it."""
        until = moment(step_up.expires_at, "{time_secs}")
        words = f"{doing} needs your passkey."
        detail = f"{words} The link is yours alone, works once, and ends at {until}."
        text = {"type": "plain_text", "text": label}
        button = {"type": "button", "action_id": LINK, "style": "primary", "text": text, "url": step_up.link}
        section = {"type": "section", "text": {"type": "mrkdwn", "text": detail}}
        await self._context.answers.whisper(place, words, [section, {"type": "actions", "elements": [button]}])
