"""Quarantine of an OpenBao key by policy: exact-path denials in every policy that could grant it.

An exact path beats every glob, and ``deny`` beats every other capability on the same path, so the denial holds whatever
else a token has.  A policy takes effect at once for live tokens; the root token ignores policies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from integrations.vendors.openbao import OpenBaoSession
from playbooks.refs import KeyRef

_USES = ("encrypt", "decrypt", "rewrap", "sign", "hmac", "backup", "datakey/plaintext", "datakey/wrapped")
_EXPORTS = ("encryption-key", "signing-key", "hmac-key")


def denied_paths(mount: str, name: str) -> tuple[str, ...]:
    """Every path by which a transit key can be used or carried away."""
    uses = tuple(f"{mount}/{use}/{name}" for use in _USES)
    exports = tuple(f"{mount}/export/{kind}/{name}{tail}" for kind in _EXPORTS for tail in ("", "/*"))
    return (*uses, f"{mount}/sign/{name}/*", f"{mount}/hmac/{name}/*", *exports)


def may_grant(policy: str, paths: Collection[str]) -> bool:
    """Could a policy's text grant one of these paths?  Every quoted string is taken for a path: errs towards yes."""
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', policy):
        pattern = re.escape(re.sub(r"\{\{.*?\}\}", "\0", quoted))
        pattern = pattern.replace(r"\+", "[^/]+").replace(re.escape("\0"), ".*").replace("\0", ".*")
        pattern = pattern.removesuffix(r"\*") + ".*" if quoted.endswith("*") else pattern
        if any(re.fullmatch(pattern, path) for path in paths):
            return True
    return False


def with_denial(policy: str, key: KeyRef, paths: Collection[str]) -> str:
    """The policy with the denials added; equal to the given one when it holds them already."""
    if policy.lstrip().startswith("{"):
        document = json.loads(policy)
        rules = document.setdefault("path", {})
        for path in paths:
            rules[path] = {"capabilities": ["deny"]}
        text = json.dumps(document)
        return policy if json.loads(policy) == document else text
    begin, end = _marks(key)
    if begin in policy:
        return policy
    rules_text = "\n".join(f'path "{path}" {{ capabilities = ["deny"] }}' for path in paths)
    return f"{policy.rstrip()}\n{begin}\n{rules_text}\n{end}\n"


def without_denial(policy: str, key: KeyRef, previous: str) -> str:
    """The policy as it was; edits made meanwhile survive, except in JSON policies, which go back to ``previous``."""
    if policy.lstrip().startswith("{"):
        return previous
    begin, end = (re.escape(mark) for mark in _marks(key))
    return re.sub(rf"\n?{begin}\n.*?{end}\n?", "\n", policy, flags=re.DOTALL)


def own_policies(session: OpenBaoSession) -> set[str]:
    """The policies that this session's own token holds."""
    data = session.call("GET", "auth/token/lookup-self", subject=session.name).data
    return {*data.get("policies", ()), *(data.get("identity_policies") or ())}


def read_policies(session: OpenBaoSession) -> Mapping[str, str]:
    """All ACL policies of the namespace but ``root``, which has no text."""
    names = session.call("LIST", "sys/policies/acl", subject=session.name).data.get("keys", [])
    return {name: read_policy(session, name) for name in names if name != "root"}


def read_policy(session: OpenBaoSession, name: str) -> str:
    """One ACL policy's text."""
    return str(session.call("GET", f"sys/policies/acl/{name}", subject=session.name).data.get("policy", ""))


def write_policy(session: OpenBaoSession, name: str, text: str) -> None:
    """Replace an ACL policy's text."""
    session.call("POST", f"sys/policies/acl/{name}", subject=session.name, body={"policy": text})


def _marks(key: KeyRef) -> tuple[str, str]:
    return f"# quarantine of {key}: begin", f"# quarantine of {key}: end"
