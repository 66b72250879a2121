"""IAM access keys: ``aws-iam:CONNECTION/USER/ACCESS-KEY-ID``, for example ``aws-iam:prod/svc-app/AKIAIOSFODNN7EX``.

Permissions of the recovery identity: ``iam:ListAccessKeys``, ``iam:UpdateAccessKey``, ``iam:CreateAccessKey``,
``iam:DeleteAccessKey``, ``iam:GetAccessKeyLastUsed``, ``iam:PutUserPolicy``, ``iam:PutRolePolicy``, ``iam:ListRoles``,
``iam:SimulatePrincipalPolicy``.  IAM is eventually consistent: a key that was cut may work for seconds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from typing import Any, Literal, Self, cast

from pydantic import JsonValue

from integrations import canaries
from integrations.secrets import read_secret, write_secret
from integrations.vendors import aws_sessions
from integrations.vendors.aws import (
    AwsConnection,
    access_key_id,
    client,
    denies_explicitly,
    has_session_token,
    outsider,
    translated,
)
from integrations.vendors.aws_receipts import AwsReceipts
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Unavailable
from playbooks.ports import Clock, Undo
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CredentialRef

SESSION_POLICY = "KeyquellRevokeSessions"
"""Name of the inline policy that ends sessions; it may be deleted once they would have expired."""

_KEYS_PER_USER = 2
_DENIED = {"AccessDeniedException", "AccessDenied"}
_OVER = {"ExpiredToken", "ExpiredTokenException"}


class AwsIam(AwsReceipts):
    """Access keys of IAM users: cut, renewed, and the sessions that were minted from them ended.

    Sessions die by an inline Deny on tokens issued before now, on the user and on each role that the user may assume
    (``session_roles``, or every role whose trust policy names the user, or the account where IAM's simulator lets the
    user assume it).  Everybody's sessions of those roles end; roles assumed *from* those roles are not followed.
    """

    def __init__(self, name: str, connection: AwsConnection, *, clock: Clock) -> None:
        self.name = name
        self._connection = connection
        self._clock = clock
        self._opened: Any = None
        self._opening = threading.Lock()
        self._arns: dict[CredentialRef, str] = {}

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open the connection ``name``; the client is made on first use.  Raises InvalidInput for bad options."""
        return cls(name, AwsConnection.read(name, options), clock=clock)

    def __repr__(self) -> str:
        return f"AwsIam({self.name!r})"

    def close(self) -> None:
        """Give up the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # --- cutting ------------------------------------------------------------------------------

    def cut(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """Make the access key inactive; sessions minted from it live on until they are revoked.

        With ``secret`` canary sessions are minted first, of the user and of each role that it may assume.
        """
        requested = self._clock()
        before = self._status(credential)
        if before == "Inactive":
            return self.receipt(credential, "cut-credential", requested, undo={"status": before})
        self._mint(credential, secret)
        answer = self._set_status(credential, "Inactive")
        return self.receipt(credential, "cut-credential", requested, answer, undo={"status": before or "Active"})

    def restore(self, credential: CredentialRef, *, undo: Undo) -> Receipt:
        """Make the access key active again; revoked sessions stay revoked."""
        requested = self._clock()
        if self._status(credential) == "Active":
            return self.receipt(credential, "restore-credential", requested)
        return self.receipt(credential, "restore-credential", requested, self._set_status(credential, "Active"))

    def revoke_sessions(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """End every session issued until now, of the user and of the roles it may assume.

        Every call moves the moment forward.  All places are tried before the first failure is raised.
        """
        requested = self._clock()
        user, _ = _parts(credential)
        # Tokens carry whole seconds: one issued in this very second must be included.
        until = (requested.astimezone(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        policy = _deny_issued_before(until)
        roles = [arn.rpartition("/")[2] for arn in self._roles(credential)]
        failures = list[BackendError]()
        answer: Mapping[str, Any] = {}
        try:
            answer = self._call(credential, "put_user_policy", UserName=user, **policy)
        except BackendError as error:
            failures.append(error)
        for role in roles:
            try:
                self._call(credential, "put_role_policy", RoleName=role, **policy)
            except BackendError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        undo: dict[str, JsonValue] = {"user": user, "roles": list[JsonValue](roles), "issued_before": until}
        return self.receipt(credential, "revoke-sessions", requested, answer, undo=undo)

    def _roles(self, credential: CredentialRef) -> Iterator[str]:
        """ARNs of the roles whose sessions may come from this credential, never the recovery identity's own."""
        if self._connection.session_roles is not None:
            named = self._connection.session_roles
            yield from (arn for arn in named if not self._is_recovery(arn.rpartition("/")[2]))
            return
        arn = self._arn(credential)
        with translated(str(credential)):
            pages = self._iam.get_paginator("list_roles").paginate()
            roles = [role for page in pages for role in page["Roles"]]
        for role in roles:
            trusted = _trusted(role["AssumeRolePolicyDocument"])
            whole = trusted & {"*", arn.split(":")[4], f"{arn.partition(':user/')[0]}:root"}
            reachable = arn in trusted or (whole and self._may_assume(credential, arn, role["Arn"]))
            if reachable and not self._is_recovery(role["RoleName"]):
                yield str(role["Arn"])

    def _arn(self, credential: CredentialRef) -> str:
        """The user's ARN, asked once: a user of this name and access key keeps it."""
        if credential not in self._arns:
            user, _ = _parts(credential)
            self._arns[credential] = str(self._call(credential, "get_user", UserName=user)["User"]["Arn"])
        return self._arns[credential]

    def _may_assume(self, credential: CredentialRef, user: str, role: str) -> bool:
        try:
            answer = self._call(
                credential,
                "simulate_principal_policy",
                PolicySourceArn=user,
                ActionNames=["sts:AssumeRole"],
                ResourceArns=[role],
            )
        except BackendError:
            return True  # unknown: a session ended for nothing is cheaper than one that lives
        return any(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])

    def _mint(self, credential: CredentialRef, secret: str) -> None:
        """Canary sessions for ``probe_sessions``, best effort."""

        def mint() -> None:
            if access_key_id(secret) == _parts(credential)[1]:
                aws_sessions.mint(self._connection, secret, roles=self._roles(credential))

        if canaries.place_of(secret):
            canaries.within_a_second(mint)

    def _is_recovery(self, role: str) -> bool:
        kind, _, rest = self._connection.recovery_principal.rpartition(":")[2].partition("/")
        names = rest.split("/")
        return (kind == "role" and names[-1] == role) or (kind == "assumed-role" and names[0] == role)

    # --- renewing -----------------------------------------------------------------------------

    def issue(self, *, like: CredentialRef, marker: str, deliver_to: str) -> tuple[CredentialRef, Receipt]:
        """Make the next access key of the same user and deliver it as JSON, with ``marker`` beside the secret.

        A user has at most two keys.  When both places are taken, a key that was never used and is neither ``like`` nor
        the delivered one is the orphan of an earlier try, whose secret is lost: it is deleted.  A used one is not, and
        Unavailable is raised.
        """
        requested = self._clock()
        user, leaked = _parts(like)
        present = self._keys(like)
        delivered = _delivered(deliver_to)
        if delivered.get("marker") == marker and present.get(delivered["access_key_id"]) == "Active":
            same = CredentialRef("aws-iam", like.connection, f"{user}/{delivered['access_key_id']}")
            return same, self.receipt(same, "issue-credential", requested)
        if len(present) >= _KEYS_PER_USER:
            self._remove_orphan(like, set(present) - {leaked, delivered.get("access_key_id", "")})
        answer = self._call(like, "create_access_key", UserName=user)
        made = answer["AccessKey"]
        write_secret(
            deliver_to,
            {
                "access_key_id": made["AccessKeyId"],
                "secret_access_key": made["SecretAccessKey"],
                "marker": marker,
            },
        )
        new = CredentialRef("aws-iam", like.connection, f"{user}/{made['AccessKeyId']}")
        return new, self.receipt(new, "issue-credential", requested, answer)

    def _remove_orphan(self, like: CredentialRef, candidates: set[str]) -> None:
        user, _ = _parts(like)
        for key_id in sorted(candidates):
            used = self._call(like, "get_access_key_last_used", AccessKeyId=key_id)["AccessKeyLastUsed"]
            if not used.get("LastUsedDate"):
                self._call(like, "delete_access_key", UserName=user, AccessKeyId=key_id)
                return
        raise Unavailable(
            f"the user {user} has two access keys already, and neither may be deleted.",
            subject=str(like),
            code="LimitExceeded",
            hint="Move what uses the second key, delete it, and run the step again.",
        )

    # --- probing ------------------------------------------------------------------------------

    def probe_credential(self, credential: CredentialRef, *, secret: str, expected: str) -> ProbeResult:
        """Try STS and KMS over new connections with the secret, or with the session when it has a session token.

        An access key is ``refused`` only when both services do not know it any more.  A session is ``refused`` when KMS
        does not know it or a policy denies it explicitly (STS answers GetCallerIdentity whatever the policies say).
        """
        session = has_session_token(secret)
        if not session and access_key_id(secret) != _parts(credential)[1]:
            raise InvalidInput(f"the secret at {secret} belongs to another access key than {credential}")
        tries = [] if session else [self._try(credential, "sts", "get_caller_identity", secret)]
        tries.append(self._try(credential, "kms", "list_aliases", secret))
        outcomes = [_read(error, session=session) for error in tries]
        outcome = Outcome.REFUSED
        if Outcome.WORKED in outcomes:
            outcome = Outcome.WORKED
        elif Outcome.INCONCLUSIVE in outcomes:
            outcome = Outcome.INCONCLUSIVE
        told = next((error for error in reversed(tries) if error is not None), None)
        return ProbeResult(
            subject=str(credential),
            operation="ListAliases" if session else "GetCallerIdentity, ListAliases",
            expected=cast("Literal['refused', 'worked']", expected),
            outcome=outcome,
            code=told.code if told else "",
            at=self._clock(),
            detail=told.message if told and outcome is Outcome.INCONCLUSIVE else "",
        )

    def probe_sessions(self, credential: CredentialRef, *, secret: str = "", expected: str) -> ProbeResult:
        """Try KMS with the sessions that were minted before the cut; all must be denied explicitly.

        Raises Unavailable when none was minted, or when they are over by their own lifetime, which shows nothing.
        """
        sessions = aws_sessions.minted_from(secret) if canaries.place_of(secret) else {}
        if not sessions:
            raise Unavailable(
                "no session could be minted from the access key before it was cut.", subject=str(credential)
            )
        tries = {name: self._try(credential, "kms", "list_aliases", place) for name, place in sessions.items()}
        if any(error is not None and error.code in _OVER for error in tries.values()):
            raise Unavailable("the sessions minted before the cut are over by their age.", subject=str(credential))
        outcomes = {name: _read(error, session=True) for name, error in tries.items()}
        outcome = next(
            (each for each in (Outcome.WORKED, Outcome.INCONCLUSIVE) if each in outcomes.values()), Outcome.REFUSED
        )
        telling = next(name for name, each in outcomes.items() if each is outcome)
        error = tries[telling]
        return ProbeResult(
            subject=str(credential),
            operation="ListAliases in a session",
            expected=cast("Literal['refused', 'worked']", expected),
            outcome=outcome,
            code=error.code if error else "",
            at=self._clock(),
            detail=f"sessions tried: {', '.join(sessions)}" if outcome is Outcome.REFUSED else f"session of {telling}",
        )

    def _try(self, credential: CredentialRef, service: str, operation: str, secret: str) -> BackendError | None:
        try:
            fresh = outsider(self._connection, service, identity=secret)
            with translated(str(credential)):
                getattr(fresh, operation)()
        except BackendError as error:
            return error
        return None

    # --- calls --------------------------------------------------------------------------------

    @property
    def _iam(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = client(self._connection, "iam")
            return self._opened

    def _call(self, credential: CredentialRef, operation: str, **arguments: Any) -> Mapping[str, Any]:
        with translated(str(credential)):
            return cast("Mapping[str, Any]", getattr(self._iam, operation)(**arguments))

    def _keys(self, credential: CredentialRef) -> dict[str, str]:
        user, _ = _parts(credential)
        answer = self._call(credential, "list_access_keys", UserName=user)
        return {entry["AccessKeyId"]: entry["Status"] for entry in answer["AccessKeyMetadata"]}

    def _status(self, credential: CredentialRef) -> str:
        """The key's status; "" when it cannot be listed, which must not keep it from being cut."""
        with suppress(Refused):
            found = self._keys(credential).get(_parts(credential)[1])
            if found is None:
                raise NotFound("the user has no such access key.", subject=str(credential), code="NoSuchEntity")
            return found
        return ""

    def _set_status(self, credential: CredentialRef, status: str) -> Mapping[str, Any]:
        user, key_id = _parts(credential)
        return self._call(credential, "update_access_key", UserName=user, AccessKeyId=key_id, Status=status)


def _parts(credential: CredentialRef) -> tuple[str, str]:
    user, slash, key_id = credential.path.rpartition("/")
    if not slash or not user or not key_id:
        raise InvalidInput(f"{credential} must name a user and an access key id, as aws-iam:CONNECTION/USER/AKIA…")
    return user, key_id


def _deny_issued_before(moment: str) -> dict[str, str]:
    statement = {
        "Sid": SESSION_POLICY,
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": moment}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"PolicyName": SESSION_POLICY, "PolicyDocument": json.dumps(document)}


def _trusted(document: Any) -> set[str]:
    """The AWS principals that a trust policy allows."""
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    found: set[str] = set()
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        named = principal.get("AWS", []) if isinstance(principal, dict) else principal
        if statement.get("Effect") == "Allow":
            found.update([named] if isinstance(named, str) else named)
    return found


def _delivered(reference: str) -> dict[str, str]:
    """What is in the delivery place now; empty when there is nothing that can be read."""
    with suppress(InvalidInput, ValueError):
        found = json.loads(read_secret(reference))
        if isinstance(found, dict) and found.get("access_key_id"):
            return {name: str(found[name]) for name in ("access_key_id", "marker") if name in found}
    return {}


def _read(error: BackendError | None, *, session: bool) -> Outcome:
    if error is None:
        return Outcome.WORKED
    if not isinstance(error, Refused):
        return Outcome.INCONCLUSIVE
    if error.code in _DENIED:
        # Whoever is denied was recognised: alive, unless it is a session and the Deny is ours.
        return Outcome.REFUSED if session and denies_explicitly(error) else Outcome.WORKED
    return Outcome.REFUSED
