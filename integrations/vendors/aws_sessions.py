"""Canary sessions of an AWS access key: one of its user and one of each role that it may assume."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from integrations import canaries
from integrations.vendors.aws import AwsConnection, access_key_id, has_session_token, outsider, translated
from playbooks.errors import BackendError, InvalidInput

_PARENT = "parent"
_SHORTEST_SECONDS = 900
"""The shortest life that STS gives a session, of either kind."""


def mint(connection: AwsConnection, secret: str, *, roles: Iterable[str]) -> None:
    """Mint what can be minted, by GetSessionToken and AssumeRole (ARNs), and keep it beside the secret.

    Needs the leaked credential's own rights only.
    """
    parent = access_key_id(secret)
    canaries.forget(secret)
    if has_session_token(secret):
        return
    sts = outsider(connection, "sts", identity=secret, seconds=canaries.MINT_SECONDS)
    with ThreadPoolExecutor(8) as pool:
        minted = dict(pool.map(lambda role: _one(sts, role), ["", *roles]))
    sessions = {name: session for name, session in minted.items() if session}
    if sessions:
        canaries.keep(secret, {_PARENT: parent, **sessions})


def minted_from(secret: str) -> dict[str, str]:
    """The kept sessions of a secret: whose (``user`` or a role's name) → a reference to log in with."""
    try:
        parent = access_key_id(secret)
    except InvalidInput:
        return {}
    found = canaries.kept(secret)
    place = canaries.place_of(secret)
    return {name: f"{place}#{name}" for name in found if name != _PARENT} if found.get(_PARENT) == parent else {}


def _one(sts: Any, role: str) -> tuple[str, str]:
    name = role.rpartition("/")[2] or "user"
    with suppress(BackendError), translated(role or "sts"):
        if role:
            answer = sts.assume_role(RoleArn=role, RoleSessionName="keyquell-probe", DurationSeconds=_SHORTEST_SECONDS)
        else:
            answer = sts.get_session_token(DurationSeconds=_SHORTEST_SECONDS)
        return name, _stored(answer["Credentials"])
    return name, ""


def _stored(made: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "access_key_id": made["AccessKeyId"],
            "secret_access_key": made["SecretAccessKey"],
            "session_token": made["SessionToken"],
        }
    )
