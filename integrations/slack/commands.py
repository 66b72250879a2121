"""``/keyquell``: questions about an incident, answered to the person who asks and nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import Any

from integrations.slack.answers import Place
from integrations.slack.card_blocks import ACTION_PREFIX, buttons, card_blocks, plan_blocks
from integrations.slack.context import BUSY, Context, actor
from integrations.slack.declaring import Declaring
from integrations.slack.limits import Json, cut, escaped
from playbooks.card import Card
from playbooks.errors import InvalidInput

_HELP = {
    "declare [words]": "report that a key or credential may be out",
    "status [incident]": "the live card; without an incident, everything that is open",
    "plan [incident]": "what will be done, as a diff",
    "approve [incident]": "read the plan and approve it",
    "who [incident]": "who responds, who agreed, who is missing",
    "export [incident]": "the record as a file, for auditors, in your direct messages",
    "help": "this",
}
_MOST_CARDS = 10

_Question = Callable[[Place, str], Awaitable[None]]


class Commands:
    """The subcommands.  In an incident's channel the incident need not be named."""

    def __init__(self, context: Context, declaring: Declaring) -> None:
        self._context = context
        self._declaring = declaring
        self._questions: dict[str, _Question] = {
            "status": self._status,
            "plan": self._plan,
            "approve": self._approve,
            "who": self._who,
            "export": self._export,
            "help": self._help,
        }

    async def typed(self, ack: Any, body: dict[str, Any]) -> None:
        """Acknowledge, then answer."""
        context = self._context
        place = Place(body["user_id"], str(body.get("channel_id", "")), str(body.get("response_url", "")))
        name, _, rest = str(body.get("text", "")).strip().partition(" ")
        name, rest = name.lower() or "help", rest.strip()
        if name != "declare" and name not in self._questions:
            await ack(self._nearest(name))
            return
        work = context.moves if name == "declare" else context.questions
        if work.full:
            await ack(BUSY)
            return
        await ack()
        if name == "declare":
            trigger = str(body.get("trigger_id", ""))
            await context.begin(work, place, lambda: self._declaring.open_form(place, trigger, rest))
        else:
            await context.begin(work, place, lambda: self._questions[name](place, rest), failed="No answer.")

    def _nearest(self, name: str) -> str:
        command = self._context.command
        near = get_close_matches(name, ["declare", *self._questions], n=1, cutoff=0.5)
        shown = escaped(cut(name, 40)).replace("`", "'")
        meant = f"Did you mean `{command} {near[0]}`?" if near else f"See `{command} help`."
        return f"There is no `{shown}` here. {meant}"

    async def _incident(self, place: Place, named: str) -> str:
        """The incident that is meant: named, or the channel's own, or the only one.  Raises InvalidInput otherwise."""
        if named:
            return named
        context, who = self._context, actor(place.user)
        if place.channel and (found := await context.questions.call(context.desk.incident_of, who, place.channel)):
            return found
        cards = await context.questions.call(context.desk.incidents, who)
        if len(cards) == 1:
            return cards[0].id
        if not cards:
            raise InvalidInput("no incident is open", hint=f"Name a closed one, or declare: {context.command} declare.")
        names = ", ".join(each.codename for each in cards[:_MOST_CARDS])
        raise InvalidInput("several incidents are open", hint=f"Name one of them: {names}.")

    async def _card(self, place: Place, named: str) -> Card:
        context = self._context
        incident = await self._incident(place, named)
        return await context.questions.call(context.desk.card, actor(place.user), incident)

    async def _status(self, place: Place, named: str) -> None:
        context, who = self._context, actor(place.user)
        if not named and place.channel:
            found = await context.questions.call(context.desk.incident_of, who, place.channel)
            named = found or ""
        if named:
            card = await context.questions.call(context.desk.card, who, named)
            await context.answers.whisper(place, _line(card), card_blocks(card))
            return
        cards = await context.questions.call(context.desk.incidents, who)
        more = f"\n… and {len(cards) - _MOST_CARDS} more" if len(cards) > _MOST_CARDS else ""
        lines = "\n".join(f"• {_line(each)}" for each in cards[:_MOST_CARDS])
        await context.answers.whisper(place, f"{lines}{more}" if cards else "No incident is open.")

    async def _plan(self, place: Place, named: str) -> None:
        card = await self._card(place, named)
        if not card.plan:
            await self._context.answers.whisper(place, f"{_name(card)} has no plan yet.")
            return
        await self._context.answers.whisper(place, f"The plan of {_name(card)}", plan_blocks(card))

    async def _approve(self, place: Place, named: str) -> None:
        """Show the plan with the button: nobody approves by name what they have not read."""
        card = await self._card(place, named)
        if "approve" not in card.buttons:
            await self._context.answers.whisper(place, f"{_name(card)}: nothing waits for an approval.")
            return
        blocks = [*plan_blocks(card), {"type": "actions", "block_id": "kq:decide", "elements": _decisions(card)}]
        await self._context.answers.whisper(place, f"Read the plan of {_name(card)}, then approve.", blocks)

    async def _who(self, place: Place, named: str) -> None:
        context = self._context
        incident = await self._incident(place, named)
        lines = await context.questions.call(context.desk.who, actor(place.user), incident)
        await context.answers.whisper(place, "\n".join(f"• {escaped(each)}" for each in lines) or "Nobody yet.")

    async def _export(self, place: Place, named: str) -> None:
        context = self._context
        incident = await self._incident(place, named)
        name, content = await context.questions.call(context.desk.export, actor(place.user), incident)
        words = f"The record of {escaped(incident)}. Check it with `keyquell record verify`."
        done = await context.answers.hand_over(place.user, name=name, content=content, words=words)
        said = (
            "The file is in your direct messages."
            if done
            else "Slack did not take the file. Use `keyquell record export` on the host."
        )
        await context.answers.whisper(place, said)

    async def _help(self, place: Place, _: str) -> None:
        command = self._context.command
        lines = "\n".join(f"• `{command} {name}` – {what}" for name, what in _HELP.items())
        shortcut = "On a message that holds a leaked key: ⋮ → “Report a leaked key”."
        await self._context.answers.whisper(place, f"{lines}\n{shortcut}")


def _decisions(card: Card) -> list[Json]:
    wanted = {f"{ACTION_PREFIX}approve", f"{ACTION_PREFIX}deny"}
    return [each for each in buttons(card) if each["action_id"] in wanted]


def _name(card: Card) -> str:
    return f"{'*EXERCISE* · ' if card.exercise else ''}*{escaped(card.codename)}*"


def _line(card: Card) -> str:
    return cut(f"{_name(card)} ({escaped(card.severity)}, {escaped(card.phase)}): {escaped(card.burning)}", 400)
