"""OpenBao tokens as credentials: ``openbao-token:CONNECTION/ACCESSOR``, or ``…/batch/NAME`` for a batch token.

Policy of the recovery identity: ``update`` on ``auth/token/lookup-accessor``, ``auth/token/revoke-accessor``,
``auth/token/create-orphan`` (with ``sudo``) and, for ``revoke_prefix``, ``sys/leases/revoke-prefix/*`` (with ``sudo``).

A revoked token's policies are forgotten by the server, so they are noted in the recovery identity's own cubbyhole
before the token is cut; ``issue`` reads them there.

Revoking a token revokes its children.  Batch tokens have no accessor and cannot be revoked; they end with their parent
(unless orphans) or their lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import JsonValue

from integrations import canaries
from integrations.secrets import read_secret, write_secret
from integrations.vendors.openbao import (
    PERMISSION_DENIED,
    OpenBaoSession,
    check_connection,
)
from integrations.vendors.openbao_adapter import OpenBaoAdapter
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Unavailable
from playbooks.ports import Undo
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CredentialRef

_BATCH = "batch/"
_MARKER = "keyquell_marker"
_KEPT = ("policies", "creation_ttl", "renewable", "period", "explicit_max_ttl", "display_name", "meta")


class OpenBaoTokens(OpenBaoAdapter):
    """Cuts, issues and probes tokens by their accessors."""

    def cut(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """Revoke the token and, with it, its children.

        With ``secret`` a child is made first where the token's policies permit, for ``probe_sessions``.

        Fine when it is gone already.  Raises Unavailable for a batch token and for this connection's own token.
        """
        if canaries.place_of(secret):
            canaries.within_a_second(lambda: self._make_child(credential, secret))
        return self._revoke(credential, "cut-credential")

    def restore(self, credential: CredentialRef, *, undo: Undo) -> Receipt:
        """Always raises Unavailable: a revoked token is gone."""
        raise Unavailable(
            f"{credential} was revoked, and OpenBao cannot bring a token back.",
            subject=str(credential),
            code="revoked",
            hint="Issue a new one.",
        )

    def revoke_sessions(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """End every token minted from this one: OpenBao does so by revoking the parent, so the parent ends too."""
        del secret
        return self._revoke(credential, "revoke-sessions")

    def probe_sessions(self, credential: CredentialRef, *, secret: str = "", expected: str) -> ProbeResult:
        """Try the child that was made before the cut; without one, see that the parent's accessor is gone.

        OpenBao ends children with their parent (batch tokens and orphans excepted), so the latter is its own word for
        it and not a try.
        """
        child = canaries.kept(secret)
        if child.get("parent") == credential.path:
            made = CredentialRef(credential.scheme, credential.connection, child["accessor"])
            place = f"{canaries.place_of(secret)}#token"
            result = self.probe_credential(made, secret=place, expected=expected)
            return result.model_copy(update={"subject": str(credential), "operation": "lookup-self of a child"})
        outcome, code, detail = Outcome.WORKED, "", "the token itself is alive"
        try:
            self._refuse_batch(credential)
            self._lookup(credential)
        except NotFound as gone:
            outcome, code = Outcome.REFUSED, gone.code
            detail = "no child could be made: the parent's accessor is gone, and children end with it"
        except Unavailable:
            raise
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult.model_validate(
            {
                "subject": str(credential),
                "operation": "lookup-accessor",
                "expected": expected,
                "outcome": outcome,
                "code": code,
                "at": self._clock(),
                "detail": detail,
            }
        )

    def _make_child(self, credential: CredentialRef, secret: str) -> None:
        """A child of the token while it lives; the one of an earlier try stays when it lives no more."""
        with OpenBaoSession(self._name, self._connection, identity=secret) as parent:
            body = {"ttl": "15m", "renewable": False, "display_name": "keyquell-probe"}
            made = parent.call("POST", "auth/token/create", subject=credential, body=body).auth
        child = {"parent": credential.path, "accessor": str(made["accessor"]), "token": str(made["client_token"])}
        canaries.keep(secret, child)

    def revoke_prefix(self, credential: CredentialRef, *, prefix: str) -> Receipt:
        """Revoke every lease below a path, for example ``auth/approle/login``: all tokens that it ever issued.

        Destroying an AppRole's secret id does not end the tokens that it already gave out; this does.
        """
        check_connection(credential, self._name)
        requested = self._clock()
        answer = self._session.call("POST", f"sys/leases/revoke-prefix/{prefix}", subject=credential, body={})
        return self._receipt(credential, "revoke-sessions", requested, answer)

    def issue(self, *, like: CredentialRef, marker: str, deliver_to: str) -> tuple[CredentialRef, Receipt]:
        """Make an orphan token with the same policies and lifetime, and write it to ``deliver_to``.

        It converges by what was delivered: a live token in ``deliver_to`` that carries the marker is the successor.
        Raises NotFound when the old token is gone and was not cut through this connection: its policies are unknown.
        """
        requested = self._clock()
        found = self._delivered(marker, deliver_to)
        if found:
            new = CredentialRef(like.scheme, like.connection, found)
            return new, self._receipt(new, "issue-credential", requested, changed=False)
        model = self._model(like)
        body = {
            "policies": [policy for policy in model.get("policies", []) if policy != "default"],
            "no_default_policy": "default" not in model.get("policies", []),
            "ttl": f"{int(model.get('creation_ttl') or 0)}s",
            "renewable": bool(model.get("renewable")),
            "period": f"{int(model.get('period') or 0)}s",
            "explicit_max_ttl": f"{int(model.get('explicit_max_ttl') or 0)}s",
            "display_name": str(model.get("display_name", "")).removeprefix("token-") or "token",
            "meta": {**(model.get("meta") or {}), _MARKER: marker},
        }
        answer = self._session.call("POST", "auth/token/create-orphan", subject=like, body=body)
        write_secret(deliver_to, str(answer.auth["client_token"]))
        new = CredentialRef(like.scheme, like.connection, str(answer.auth["accessor"]))
        return new, self._receipt(new, "issue-credential", requested, answer)

    def probe_credential(self, credential: CredentialRef, *, secret: str, expected: str) -> ProbeResult:
        """Log in with the token itself from a fresh session (``lookup-self``).

        A live token whose policies forbid ``lookup-self`` is refused with the same words as a dead one, so a refusal
        counts only when the accessor is gone as well; else the probe is inconclusive.
        """
        check_connection(credential, self._name)
        outcome, code, detail = Outcome.WORKED, "", ""
        try:
            with OpenBaoSession(self._name, self._connection, identity=secret) as fresh:
                accessor = fresh.call("GET", "auth/token/lookup-self", subject=credential).data.get("accessor", "")
            if accessor != credential.path and not credential.path.startswith(_BATCH):
                outcome, detail = Outcome.INCONCLUSIVE, "the secret is that of another token."
        except Refused as error:
            outcome, code, detail = self._judge_refusal(credential, error)
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult.model_validate(
            {
                "subject": str(credential),
                "operation": "lookup-self",
                "expected": expected,
                "outcome": outcome,
                "code": code,
                "at": self._clock(),
                "detail": detail,
            }
        )

    def _judge_refusal(self, credential: CredentialRef, error: Refused) -> tuple[Outcome, str, str]:
        if error.code != PERMISSION_DENIED:
            return Outcome.INCONCLUSIVE, error.code, error.message
        if credential.path.startswith(_BATCH):
            # 2.7 words it "1 error occurred: …" for a live token without the right, and bare for a dead one
            alive = "error occurred" in error.message
            return (Outcome.INCONCLUSIVE if alive else Outcome.REFUSED), error.code, error.message
        try:
            self._lookup(credential)
        except NotFound:
            return Outcome.REFUSED, error.code, error.message
        except BackendError as unknown:
            return Outcome.INCONCLUSIVE, unknown.code, f"whether the accessor is gone is not known: {unknown.message}"
        return Outcome.INCONCLUSIVE, error.code, "refused, but the accessor is alive: its policies may forbid the try."

    def _revoke(self, credential: CredentialRef, move: str) -> Receipt:
        check_connection(credential, self._name)
        requested = self._clock()
        self._refuse_batch(credential)
        try:
            found = self._lookup(credential)
        except NotFound:
            return self._receipt(credential, move, requested, changed=False)
        own = self._session.call("GET", "auth/token/lookup-self", subject=credential).data
        if own.get("accessor") == credential.path:
            raise Unavailable(
                f"{credential} is the token of the recovery identity itself.",
                subject=str(credential),
                code="own-token",
                hint="Give the connection another token first, then cut this one.",
            )
        self._note(credential, found)
        answer = self._session.call(
            "POST", "auth/token/revoke-accessor", subject=credential, body={"accessor": credential.path}
        )
        undo: dict[str, JsonValue] = {"policies": list(found.get("policies", []))}
        return self._receipt(credential, move, requested, answer, undo=undo)

    def _refuse_batch(self, credential: CredentialRef) -> None:
        if credential.path.startswith(("b.", "hvb.")):
            raise InvalidInput("an openbao-token: URI holds an accessor, never a token")
        if credential.path.startswith(_BATCH):
            raise Unavailable(
                "a batch token cannot be revoked: it has no accessor.",
                subject=str(credential),
                code="batch-token",
                hint="Narrow its policies, revoke its parent, or disable the key; it ends with its lease.",
            )

    def _lookup(self, credential: CredentialRef) -> dict[str, Any]:
        check_connection(credential, self._name)
        body = {"accessor": credential.path}
        return self._session.call("POST", "auth/token/lookup-accessor", subject=credential, body=body).data

    def _note(self, credential: CredentialRef, found: Mapping[str, Any]) -> None:
        """Keep what a successor needs; containment goes on when that fails."""
        kept = {name: found.get(name) for name in _KEPT}
        with suppress(BackendError):
            self._session.call("POST", f"cubbyhole/keyquell/{credential.path}", subject=credential, body=kept)

    def _model(self, like: CredentialRef) -> dict[str, Any]:
        self._refuse_batch(like)
        try:
            return self._lookup(like)
        except NotFound as gone:
            try:
                return self._session.call("GET", f"cubbyhole/keyquell/{like.path}", subject=like).data
            except (NotFound, Refused):
                raise NotFound(
                    f"{like} is gone, and what it was allowed to do is not known.",
                    subject=str(like),
                    code=gone.code,
                    hint="Issue a token with the right policies by hand and deliver it.",
                ) from gone

    def _delivered(self, marker: str, deliver_to: str) -> str:
        """The accessor of the live token in ``deliver_to`` when it carries the marker, else ""."""
        try:
            read_secret(deliver_to)
            with OpenBaoSession(self._name, self._connection, identity=deliver_to) as fresh:
                data = fresh.call("GET", "auth/token/lookup-self", subject=self._name).data
        except (InvalidInput, Refused):
            return ""
        return str(data.get("accessor", "")) if (data.get("meta") or {}).get(_MARKER) == marker else ""
