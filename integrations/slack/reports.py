"""*Report a leaked key* on a message: its text is recognised at once and kept nowhere; deleting it is offered."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from integrations.slack import forms
from integrations.slack.answers import Place
from integrations.slack.context import BUSY, Context, actor
from integrations.slack.declaration import Mistakes, severity_and_note
from integrations.slack.declaring import Declaring, channel_of, metadata_of
from integrations.slack.limits import escaped
from integrations.slack.words import as_written, explained
from playbooks.desk import Report
from playbooks.errors import KeyquellError
from playbooks.exposures import Exposure

SHORTCUT, DELETE = "kq_report_leak", "kq:delete-message"
_TITLE = "Report a leaked key"
_KEPT_SECONDS = 1800.0
_LONGEST_TEXT = 100_000
_METADATA = 2900


@dataclass(frozen=True, slots=True)
class _Message:
    channel: str
    ts: str
    author: str
    ours: bool


class Reports:
    """From a message to exposures, by a form that shows what was recognised.

    What was recognised waits for the submission in memory, and as URIs in the form itself, so that a restart loses
    nothing.
    """

    def __init__(self, context: Context, declaring: Declaring) -> None:
        self._context = context
        self._declaring = declaring
        self._waiting: dict[str, tuple[float, tuple[Exposure, ...]]] = {}

    async def chosen(self, ack: Any, body: dict[str, Any]) -> None:
        """The shortcut was chosen on a message."""
        await ack()
        context, message = self._context, body.get("message") or {}
        about = _Message(
            channel=str((body.get("channel") or {}).get("id", "")),
            ts=str(message.get("ts") or body.get("message_ts", "")),
            author=str(message.get("user", "")),
            ours=bool(message.get("app_id")) and message.get("app_id") == body.get("api_app_id"),
        )
        place = Place(body["user"]["id"], about.channel, str(body.get("response_url", "")))
        text, trigger = text_of(message), str(body.get("trigger_id", ""))
        await context.begin(context.moves, place, lambda: self._report(place, trigger, text, about))

    async def submitted(self, ack: Any, body: dict[str, Any]) -> None:
        """The form with what was recognised comes back."""
        context, view = self._context, body["view"]
        read = severity_and_note(view)
        exposures = self._recalled(view)
        if context.moves.full:
            read = Mistakes({forms.NOTE: BUSY})
        elif not exposures:
            read = Mistakes({forms.NOTE: "This form is too old. Choose “Report a leaked key” on the message again."})
        if isinstance(read, Mistakes):
            await ack(response_action="errors", errors=dict(read.by_field))
            return
        await ack()
        if context.deliveries.first(f"view:{view['id']}"):
            place, (severity, note) = Place(body["user"]["id"], channel_of(view)), read
            job = lambda: self._declaring.declare(place, exposures, severity, note, view["id"])  # noqa: E731
            await context.begin(context.moves, place, job, failed="Nothing was declared.")

    async def deleted(self, ack: Any, body: dict[str, Any]) -> None:
        """The button that deletes a message of keyquell's own."""
        await ack()
        context = self._context
        place = Place(body["user"]["id"], response_url=str(body.get("response_url", "")))
        channel, _, ts = str(body["actions"][0].get("value", "")).partition("/")

        async def job() -> None:
            done = await context.answers.delete(channel, ts)
            still = "What it held stays leaked: go on with the incident."
            said = f"The message is deleted. {still}" if done else "Slack did not delete the message."
            await context.answers.whisper(place, said)

        await context.begin(context.moves, place, job)

    async def _report(self, place: Place, trigger: str, text: str, message: _Message) -> None:
        """Recognise and open the form side by side; neither waits for the other."""
        context = self._context
        recognising = asyncio.ensure_future(context.moves.call(context.desk.recognise, actor(place.user), text))
        form = await context.answers.open_view(trigger, forms.loading(_TITLE, "The text is being recognised …"))
        try:
            report = await recognising
        except KeyquellError as error:
            if form:
                await context.answers.update_view(form, forms.told(_TITLE, explained(error, "Not now.")))
            else:
                await context.answers.whisper(place, explained(error, "The message was not read."))
            return
        if form:
            await context.answers.update_view(form, self._form(form, place, report))
        else:
            again = "Slack did not open the form: choose “Report a leaked key” again."
            await context.answers.whisper(place, f"{escaped(report.summary)} {again}")
        await self._offer_deletion(place, message)

    def _form(self, form: str, place: Place, report: Report) -> dict[str, Any]:
        if not report.exposures:
            how = f"Was it a key all the same? Declare it by name: `{self._context.command} declare`."
            return forms.told(_TITLE, f"{escaped(report.summary)}\n{how}")
        now = time.monotonic()
        self._waiting = {name: each for name, each in self._waiting.items() if each[0] > now}
        self._waiting[form] = (now + _KEPT_SECONDS, tuple(report.exposures))
        metadata: dict[str, Any] = {"c": place.channel, "x": [_packed(each) for each in report.exposures]}
        if len(json.dumps(metadata)) > _METADATA:
            metadata.pop("x")
        return forms.reporting(report.exposures, report.summary, metadata=metadata)

    def _recalled(self, view: dict[str, Any]) -> tuple[Exposure, ...]:
        ends, exposures = self._waiting.get(view["id"], (0.0, ()))
        if ends > time.monotonic():
            return exposures
        try:
            return tuple(Exposure.model_validate(each) for each in metadata_of(view).get("x", []))
        except (ValidationError, TypeError):
            return ()

    async def _offer_deletion(self, place: Place, message: _Message) -> None:
        answers = self._context.answers
        still = "Deleting does not undo the leak: others, and machines, may have read it."
        if message.ours:
            label = {"type": "plain_text", "text": "Delete the message"}
            button = {"type": "button", "action_id": DELETE, "style": "danger", "text": label}
            button["value"] = f"{message.channel}/{message.ts}"
            words = f"The message is keyquell's own and can be deleted here. {still}"
            section = {"type": "section", "text": {"type": "mrkdwn", "text": words}}
            await answers.whisper(place, words, [section, {"type": "actions", "elements": [button]}])
            return
        link = await answers.permalink(message.channel, message.ts)
        where = f"<{link}|the message>" if link else "the message"
        author = (
            f"<@{message.author}>, who wrote it," if re.fullmatch(r"[UW][A-Z0-9]+", message.author) else "Its author"
        )
        await answers.whisper(
            place,
            f"Slack lets keyquell delete only its own messages. {author} or a workspace admin can delete {where}."
            f" {still}",
        )


def text_of(message: Mapping[str, Any]) -> str:
    """Everything that a person can read in a message, as they wrote it."""
    parts = dict.fromkeys(_texts({name: message.get(name) for name in ("text", "blocks", "attachments", "files")}))
    return "\n".join(as_written(each) for each in parts)[:_LONGEST_TEXT]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, str) and name in ("text", "fallback", "pretext", "title", "value", "url", "preview"):
                yield each
            else:
                yield from _texts(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _texts(each)


def _packed(exposure: Exposure) -> dict[str, Any]:
    return exposure.model_dump(mode="json", exclude_defaults=True)
