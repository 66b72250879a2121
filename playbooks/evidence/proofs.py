"""The cryptography that checking needs, handed in by whoever has it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from playbooks.event_bodies import ApprovalGiven, Confirmed
from playbooks.plans import Plan


class VerifiesSignatures(Protocol):
    """Signatures and keys (PEM).  Raises RecordError saying what does not hold."""

    def fingerprint(self, public_key: str) -> str: ...
    def signature(self, public_key: str, algorithm: str, message: bytes, signature: bytes) -> None: ...
    def assertion(self, body: ApprovalGiven | Confirmed, plan: Plan | None, incident: str) -> None: ...


class VerifiesTimes(Protocol):
    """RFC 3161 tokens: when and by whom; RecordError when one is not over the message or its signature fails.

    ``trusts_authorities`` says whether the authority's certificate was checked against roots that the reader named.
    """

    def time_stamp(self, token: bytes, message: bytes) -> tuple[datetime, str]: ...
    def trusts_authorities(self) -> bool: ...


class Proofs(VerifiesSignatures, VerifiesTimes, Protocol):
    """Both."""
