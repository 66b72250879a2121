"""Bearer tokens of programs that read: one token a setting, kept by reference."""

from __future__ import annotations

import hmac

from integrations.secrets import read_secret


class WrongTokenError(Exception):
    """A token was sent, and it is not the one of the setting."""


def bears_token(reference: str | None, header: str) -> bool:
    """Does the ``Authorization`` header carry the token behind ``reference``?

    False when there is no such setting or no header, so that a visitor may ask instead.  Raises WrongTokenError.
    """
    if not reference or not header:
        return False
    if not hmac.compare_digest(header.encode(), f"Bearer {read_secret(reference)}".encode()):
        raise WrongTokenError
    return True
