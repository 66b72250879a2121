"""GitHub's secret scanning partner programme: GitHub sends us tokens of our own making that it found in public.

Each message is signed with ECDSA (P-256, SHA-256) over the raw body; ``meta/public_keys`` lists the public keys.  It
holds live secrets, which are hashed at once.  Docs: "Secret scanning partner program".
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field

from integrations.findings import classify, token_sha256
from integrations.fingerprints import installation_key
from integrations.hooks import header, parse_json, refuse, within_limit
from integrations.reports import read_options, shown
from integrations.vendors.github import API, GitHubApi
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.exposures import Signal
from playbooks.ports import Clock

_log = logging.getLogger(__name__)
_CONFIDENCE = 0.95
_SHORTEST_TOKEN = 8
_KEEP = timedelta(hours=1)
_UNKNOWN_AGAIN = timedelta(seconds=60)
_FAILED_AGAIN = timedelta(seconds=5)
_LONGEST_ID, _LONGEST_SIGNATURE = 128, 256


class GitHubPartnerOptions(BaseModel):
    """Options of a detector of type ``github-partner``: keys from ``keys_file``, else from ``keys_url``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "github-partner"
    name: str = ""
    keys_url: str = Field(default=f"{API}/meta/public_keys/secret_scanning", pattern=r"^https?://\S+$")
    keys_file: Path | None = Field(default=None, description="The same JSON in a file, where there is no way out.")
    key_file: Path | None = Field(default=None, description="The installation's key.")


class GitHubPartner:
    """One signal a token, known by the token's hash, wherever and however often it was found."""

    def __init__(self, name: str, options: GitHubPartnerOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._key = installation_key(options.key_file) if options.key_file else None
        self._api = GitHubApi(name)
        self._lock = threading.Lock()
        self._keys: dict[str, ec.EllipticCurvePublicKey] = {}
        self._read_at: datetime | None = None
        self._failed: tuple[datetime, KeyquellError] | None = None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; keys are read when the first message comes.  Raises InvalidInput naming the field."""
        return cls(name, read_options(GitHubPartnerOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"GitHubPartner({self._name!r})"

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def check(self) -> str:
        """Reads GitHub's public keys.  Raises Unreachable, InvalidInput or what else ``hear`` raises for them."""
        return f"{len(self._read_keys())} public keys of GitHub's can be read"

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The tokens of one message.

        Raises Refused when it is not GitHub's, InvalidInput for another form; Unreachable or Throttled when GitHub's
        public keys cannot be had: then nothing is known of the message, and GitHub sends it again.
        """
        within_limit(body, sender=self._name)
        identifier = header(headers, "github-public-key-identifier")
        signature = _signature(header(headers, "github-public-key-signature"))
        if not identifier or not signature or len(identifier) > _LONGEST_ID:
            refuse(self._name, "it carries no signature", code="signature-missing")
        key = self._public_key(identifier)
        if key is None:
            refuse(self._name, "it is signed with a key that is not GitHub's", code="key-unknown")
        try:
            key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            refuse(self._name, "its signature is not GitHub's", code="signature-wrong")
        found = parse_json(body, sender=self._name)
        if not isinstance(found, list):
            raise InvalidInput(f"the message of {self._name} must be a JSON array")
        tokens = {str(each["token"]): each for each in found if _has_token(each)}
        if found and not tokens:
            raise InvalidInput(f"the message of {self._name} has no entry with a token")
        return [self._signal(token, each) for token, each in tokens.items()]

    def _signal(self, token: str, found: Mapping[str, Any]) -> Signal:
        kind, fingerprints = classify(token, key=self._key)
        digest = token_sha256(token)
        what = shown(found.get("type"), hide=(token,), limit=60) or "a token"
        where = shown(found.get("source"), hide=(token,), limit=40)
        address = shown(found.get("url"), hide=(token,), limit=400)
        return Signal(
            source=self._name,
            external_id=digest.value,
            kind=kind,
            fingerprints=tuple(dict.fromkeys((*fingerprints, digest))),
            summary=f"GitHub found one of our tokens ({what}) in public{f', in {where}' if where else ''}.",
            observed_at=self._clock(),
            confidence=_CONFIDENCE,
            publicly_leaked=True,
            evidence_uri=address if address.startswith("https://") else "",
        )

    def _public_key(self, identifier: str) -> ec.EllipticCurvePublicKey | None:
        """The key of this id.

        The list is read again after an hour, and for an unknown id at most once a minute: forgers choose the id.  What
        could not be read is not tried again for some seconds, or forgers would keep everybody waiting for it.
        """
        with self._lock:
            age = self._clock() - self._read_at if self._read_at else None
            if age is None or age > (_KEEP if identifier in self._keys else _UNKNOWN_AGAIN):
                self._refresh()
            return self._keys.get(identifier)

    def _refresh(self) -> None:
        if self._failed is not None and self._clock() - self._failed[0] < _FAILED_AGAIN:
            raise self._failed[1].with_traceback(None)
        try:
            self._keys = self._read_keys()
        except KeyquellError as error:
            self._failed = self._clock(), error
            raise
        self._read_at, self._failed = self._clock(), None

    def _read_keys(self) -> dict[str, ec.EllipticCurvePublicKey]:
        if self._options.keys_file is not None:
            try:
                document = parse_json(self._options.keys_file.read_bytes(), sender=self._name)
            except OSError as error:
                place = f"{self._options.keys_file} ({error.strerror})"
                raise InvalidInput(f"detector {self._name!r}, field 'keys_file': cannot read {place}") from error
        else:
            document = self._api.get(self._options.keys_url)
        listed = document.get("public_keys") if isinstance(document, dict) else None
        keys = {}
        for each in listed if isinstance(listed, list) else ():
            key = _p256(each.get("key")) if isinstance(each, dict) else None
            if key is not None:
                keys[str(each.get("key_identifier"))] = key
        if not keys:
            raise InvalidInput(f"the public keys for {self._name} hold no P-256 key")
        return keys


def _has_token(found: Any) -> bool:
    token = found.get("token") if isinstance(found, dict) else None
    return isinstance(token, str) and len(token) >= _SHORTEST_TOKEN


def _p256(pem: Any) -> ec.EllipticCurvePublicKey | None:
    try:
        key = serialization.load_pem_public_key(str(pem).encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _signature(text: str) -> bytes:
    if len(text) > _LONGEST_SIGNATURE:
        return b""
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (ValueError, binascii.Error):
        return b""
