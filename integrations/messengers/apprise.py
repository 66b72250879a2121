"""Messages by Apprise: e-mail, Teams, and everything else that it has a URL for (https://github.com/caronc/apprise)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.options import read_options
from integrations.secrets import read_secret
from integrations.vendors.apprise import Address
from playbooks.errors import BackendError, InvalidInput, Unavailable
from playbooks.event_bodies import NeedToKnow
from playbooks.ports import Clock, Delivers, Message

_DRILL = "EXERCISE, EXERCISE, EXERCISE: this is a drill; nothing real has happened.\n\n"
_LONGEST_TITLE = 200


class AppriseOptions(BaseModel):
    """Options of a messenger of type ``apprise``.

    ``inside`` says what is inside the company: domains (``example.com``) and schemes (``slack://``).  Exercise messages
    go only to channels that are inside as a whole; without ``inside`` there is no such channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    urls: tuple[str, ...] = Field(min_length=1, description="References (file:…, env:…), one Apprise URL each.")
    audiences: tuple[str, ...] = Field(default=(), description="Audiences that this channel carries; empty: all.")
    need_to_know: tuple[NeedToKnow, ...] = Field(default=("responders", "company"), min_length=1)
    inside: tuple[str, ...] = ()

    @field_validator("urls")
    @classmethod
    def _by_reference(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not each.startswith(("file:", "env:")) for each in value):
            raise ValueError("must be references (file:PATH or env:NAME), never URLs: those hold secrets")
        return value


class Apprise:
    """Delivers to all of its URLs; it remembers nothing, because the record knows which address has which message.

    Every message ends with ``ref: ID``, so that people see when one came twice after a crash.
    """

    def __init__(self, name: str, options: AppriseOptions) -> None:
        self._name = f"messengers.{name}"
        self._options = options
        self._addresses = [
            Address(_url(self._name, index, each), label=f"{self._name}: urls.{index}")
            for index, each in enumerate(options.urls)
        ]
        self._inside = all(each.stays_inside(options.inside) for each in self._addresses)
        names = [hashlib.sha256(each.encode()).hexdigest()[:8] for each in options.urls]
        self._apart = {name: _One(self, each) for name, each in zip(names, self._addresses, strict=True)}

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate ``AppriseOptions`` and read the URLs; nothing is sent.  Raises InvalidInput naming the field."""
        del clock  # the channel stamps its own times
        return cls(name, read_options(AppriseOptions, f"messengers.{name}", options))

    def __repr__(self) -> str:
        return f"Apprise({self._name!r})"

    def check(self) -> str:
        """Names each address by scheme and host; whether it delivers is known only by sending."""
        reach = "inside the company" if self._inside else "not marked as inside, so no exercise goes there"
        return f"{', '.join(dict.fromkeys(each.place for each in self._addresses))}: {reach}"

    def apart(self) -> Mapping[str, Delivers]:
        """Each address as a channel of its own, by a digest of its reference; none when there is one."""
        return self._apart if len(self._apart) > 1 else {}

    def deliver(self, message: Message) -> None:
        """Send to every URL.

        Raises Unavailable, with code ``audience``, ``need-to-know`` or ``exercise``, for what this channel does not
        carry.  When a URL fails the others are still tried, and the first failure is raised.
        """
        failures: list[BackendError] = []
        for each in self._addresses:
            try:
                self.send(message, each)
            except BackendError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def send(self, message: Message, address: Address) -> None:
        """Send to one URL, in one try, what this channel carries; raises as ``deliver``."""
        self._admit(message)
        mark, drill = ("[EXERCISE] ", _DRILL) if message.exercise else ("", "")
        title = " ".join(f"{mark}{_harmless(message.subject)}".split())[:_LONGEST_TITLE]
        body = f"{drill}{_harmless(message.body)}\n\nref: {_harmless(message.id)}"
        address.send(title=title, body=body, subject=self._name)

    def close(self) -> None:
        """Nothing is held open."""

    def _admit(self, message: Message) -> None:
        """Raise Unavailable when the message must not, or need not, go this way."""
        reason, code, hint = "", "", ""
        if self._options.audiences and message.audience not in self._options.audiences:
            reason, code = f"does not carry messages to {message.audience}", "audience"
        elif message.need_to_know not in self._options.need_to_know:
            reason, code = f"is not marked for what {message.need_to_know} may read", "need-to-know"
            hint = "List it in need_to_know when everybody there may read it."
        elif message.exercise and not self._inside:
            reason, code = "is not marked as inside the company, so exercise messages never go there", "exercise"
            hint = "List the domains or schemes of all its URLs in inside."
        if reason:
            raise Unavailable(f"{self._name} {reason}.", subject=self._name, code=code, hint=hint)


class _One:
    """One address of a channel, with the channel's rules."""

    def __init__(self, channel: Apprise, address: Address) -> None:
        self._channel = channel
        self._address = address

    def deliver(self, message: Message) -> None:
        self._channel.send(message, self._address)

    def close(self) -> None:
        """Nothing is held open."""


def _url(place: str, index: int, reference: str) -> str:
    try:
        return read_secret(reference).strip()
    except InvalidInput as error:
        raise InvalidInput(f"{place}: urls.{index}: {error.message}", hint=error.hint) from error


def _harmless(text: str) -> str:
    """What a message quotes may be an attacker's: no control characters but line breaks."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)
