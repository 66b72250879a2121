"""Signing in to the web page: sessions, a passkey's assertion, and what an identity provider says of a person.

A session gives no right by itself: it names a person, and the roster says at each request what that person may do.
Approving and undoing still take a passkey of their own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

import fasteners
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from flows.admission import note_refusal
from flows.passkey_register import in_use, read_register, site_of
from flows.wiring import Wiring
from integrations import passkeys
from integrations.passkeys import Passkey
from integrations.secrets import write_secret
from playbooks.errors import InvalidInput, NotApproved
from playbooks.gates import same_person
from playbooks.roster import Person, Role, objection

How = Literal["passkey", "oidc"]

_WHAT = "sign in to the web page"
_HINT = "Ask whoever keeps the roster; `keyquell roster show` says who is in it."
_MOST = 200
"""Sessions that are kept; the oldest end first."""
_QUESTIONS = 1_000
"""Passkey questions that wait for an answer at once."""
_ANSWER_WITHIN = timedelta(minutes=2)
_THREADS = threading.Lock()


class Session(BaseModel):
    """Who signed in, how, and until when it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: str
    how: How
    since: AwareDatetime
    until: AwareDatetime


_SESSIONS = TypeAdapter(dict[str, Session])


@dataclass(frozen=True, slots=True)
class Question:
    """What the browser is asked: an id to answer with, and the options for ``navigator.credentials.get``."""

    id: str
    options: dict[str, Any]
    until: AwareDatetime


class SignIn:
    """The sessions of an installation, kept in its state folder; the file holds hashes of tokens, never a token."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._place: Path = wiring.settings.state / "sessions.json"
        self._asked: dict[str, tuple[str, bytes, AwareDatetime]] = {}
        self._decoys = secrets.token_bytes(32)
        self._lock = threading.Lock()

    # --- sessions --------------------------------------------------------------------------------

    def begin(self, person: str, how: How) -> str:
        """Open a session for a person of the roster and return its token.

        Raises NotApproved, recorded, when the roster does not know the person or gives no role.
        """
        known = self._known(person)
        token = secrets.token_urlsafe(32)
        now = self._wiring.clock()
        until = now + timedelta(hours=self._wiring.settings.web.session_hours)
        with self._alone():
            kept = {key: each for key, each in self._read().items() if each.until > now}
            kept[_digest(token)] = Session(person=known.name, how=how, since=now, until=until)
            newest = sorted(kept.items(), key=lambda pair: pair[1].since)[-_MOST:]
            self._write(dict(newest))
        return token

    def session(self, token: str) -> Session | None:
        """The session behind a token; None when there is none, or it is over."""
        found = self._read().get(_digest(token)) if token else None
        return found if found is not None and found.until > self._wiring.clock() else None

    def end(self, token: str) -> None:
        """Sign out."""
        with self._alone():
            kept = self._read()
            if kept.pop(_digest(token), None) is not None:
                self._write(kept)

    def roles(self, person: str) -> frozenset[Role]:
        """What the roster gives the person now; nothing when it cannot be read or the person has left."""
        try:
            roster = self._wiring.roster
        except InvalidInput:
            return frozenset()
        found = roster.person(person) if roster is not None else None
        now = self._wiring.clock()
        return frozenset(role for role in Role if not objection(found, (role,), now))

    # --- a passkey -------------------------------------------------------------------------------

    def ask(self, person: str) -> Question:
        """Options for a sign-in with this person's passkeys; the same for a name that nobody has."""
        now = self._wiring.clock()
        question, nonce = secrets.token_urlsafe(24), secrets.token_bytes(32)
        with self._lock:
            self._asked = {key: each for key, each in self._asked.items() if each[2] > now}
            while len(self._asked) >= _QUESTIONS:
                self._asked.pop(next(iter(self._asked)))
            self._asked[question] = (person, nonce, now + _ANSWER_WITHIN)
        own = [in_use(self._wiring, each) for each in read_register(self._wiring).of(person)] or [self._decoy(person)]
        options = passkeys.request_options(site_of(self._wiring), challenge=_challenge(nonce, person), passkeys=own)
        return Question(question, options, now + _ANSWER_WITHIN)

    def answer(self, question: str, assertion: Mapping[str, Any]) -> str:
        """Check what the authenticator signed and open a session; a question is answered once.

        Raises NotApproved, recorded, when it does not hold.
        """
        with self._lock:
            person, nonce, until = self._asked.pop(question, ("", b"", self._wiring.clock()))
        if not person or until <= self._wiring.clock():
            self._refuse("somebody", "the question is too old, or was answered already", hint="Begin again.")
        known = read_register(self._wiring).passkeys.get(passkeys.credential_of(assertion))
        if known is None or not same_person(known.person, person):
            self._refuse(person, "the passkey is not one of theirs")
        try:
            passkeys.check(
                assertion,
                site=site_of(self._wiring),
                challenge=_challenge(nonce, person),
                passkey=in_use(self._wiring, known),
                nonce=nonce,
            )
        except NotApproved as error:
            self._refuse(person, error.message, hint=error.hint)
        return self.begin(known.person, "passkey")

    # --- an identity provider --------------------------------------------------------------------

    def believe(self, claims: Mapping[str, Any]) -> str:
        """Open a session for the person whom verified claims of the identity provider name; returns the token.

        The configured claim must equal one person's e-mail address (when it is ``email``) or name.  Raises NotApproved,
        recorded, when it names nobody, or an address that the provider has not verified.
        """
        oidc = self._wiring.settings.web.oidc
        claim = oidc.claim if oidc is not None else "email"
        value = str(claims.get(claim, ""))
        roster = self._wiring.roster
        people = roster.people if roster is not None else ()
        if claim == "email":
            if claims.get("email_verified", True) is not True:
                self._refuse(value or "somebody", "the identity provider has not verified the e-mail address")
            found = [each for each in people if value and each.email.casefold() == value.casefold()]
        else:
            found = [each for each in people if value and each.name == value]
        if len(found) != 1:
            self._refuse(value or "somebody", f"the identity provider's {claim} names nobody in the roster")
        return self.begin(found[0].name, "oidc")

    def _decoy(self, person: str) -> Passkey:
        """A passkey that nobody has, always the same for a name: the page tells no stranger who is enrolled."""
        made = hmac.digest(self._decoys, person.encode(), "sha256")
        return Passkey(base64.urlsafe_b64encode(made).rstrip(b"=").decode(), "")

    # --- how -------------------------------------------------------------------------------------

    def _known(self, person: str) -> Person:
        roster = self._wiring.roster
        found = roster.person(person) if roster is not None else None
        if found is None or (why := objection(found, tuple(Role), self._wiring.clock())):
            self._refuse(person, "nobody of this name is in the roster" if found is None else why)
        return found

    def _refuse(self, by: str, reason: str, *, hint: str = _HINT) -> NoReturn:
        note_refusal(self._wiring, by=by, what=_WHAT, reason=reason, via="web")
        raise NotApproved(f"{by[:80]} may not {_WHAT}: {reason.rstrip('.')}.", hint=hint)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with _THREADS, fasteners.InterProcessLock(self._place.with_suffix(".lock")):
            yield

    def _read(self) -> dict[str, Session]:
        """A damaged file ends every session, and nothing else."""
        try:
            return _SESSIONS.validate_json(self._place.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    def _write(self, sessions: dict[str, Session]) -> None:
        write_secret(f"file:{self._place}", json.dumps(_SESSIONS.dump_python(sessions, mode="json")))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _challenge(nonce: bytes, person: str) -> bytes:
    """Never one that approves anything: those begin with the nonce, this one with its purpose."""
    return hashlib.sha256(b"keyquell sign-in\x00" + nonce + person.encode()).digest()
