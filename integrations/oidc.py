"""Signing in by OpenID Connect: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636).

The provider's address, keys and algorithms come from its discovery document; an id token counts only when its
signature, issuer, audience, nonce and times hold.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from integrations.secrets import read_secret
from playbooks.errors import NotApproved, Unreachable
from playbooks.ports import Clock

_TIMEOUT = 5.0
_LEEWAY_SECONDS = 60
_SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser is sent, and what must come back with it."""

    url: str
    state: str
    nonce: str
    verifier: str


class OidcProvider:
    """One identity provider; every call asks it afresh, so that rotated keys need no restart.

    ``client_secret`` is a reference; ``back`` is the address to which the browser returns, as it is registered there.
    """

    def __init__(
        self, issuer: str, *, client_id: str, client_secret: str, scopes: Sequence[str], back: str, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._back = back
        self._clock = clock

    def depart(self) -> Departure:
        """Make the address of the provider's own sign-in.  Raises Unreachable when the provider does not answer."""
        found = self._discover()
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with self._client() as client:
            url, state = client.create_authorization_url(
                found["authorization_endpoint"], nonce=nonce, code_verifier=verifier
            )
        return Departure(url, state, nonce, verifier)

    def arrive(self, code: str, departure: Departure) -> Mapping[str, Any]:
        """The verified claims that the code stands for.

        Raises NotApproved when the provider refuses the code or its id token does not verify, Unreachable when it does
        not answer.
        """
        found = self._discover()
        try:
            with self._client() as client:
                answer = client.fetch_token(found["token_endpoint"], code=code, code_verifier=departure.verifier)
            keys = KeySet.import_key_set(_get(found["jwks_uri"]))
            token = jwt.decode(str(answer.get("id_token", "")), keys, algorithms=_SIGNATURES)
            self._check(token.claims, departure)
        except httpx2.HTTPError as error:
            raise self._unreachable() from error
        except (AuthlibBaseError, JoseError, ValueError) as error:
            raise NotApproved(
                f"the identity provider's answer does not hold ({type(error).__name__}).", hint="Sign in again."
            ) from error
        return token.claims

    def _check(self, claims: dict[str, Any], departure: Departure) -> None:
        expected = jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": departure.nonce},
        )
        expected.validate(claims)
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._client_id:
            raise ValueError("the id token was made for another client")

    def _discover(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 4."""
        try:
            found: dict[str, Any] = _get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unreachable() from error
        if found.get("issuer") != self._issuer:
            raise NotApproved(
                "the identity provider calls itself by another name than web.oidc.issuer.",
                hint="Write the issuer exactly as its discovery document has it.",
            )
        return found

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            client_id=self._client_id,
            client_secret=read_secret(self._client_secret),
            scope=" ".join(self._scopes),
            redirect_uri=self._back,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
        )

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            "the identity provider does not answer.", code="oidc", subject="sign-in", hint="Sign in with a passkey."
        )


def _get(url: str) -> Any:
    answer = httpx2.get(url, timeout=_TIMEOUT)
    answer.raise_for_status()
    return answer.json()
