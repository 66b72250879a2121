"""Starts ministack with its KMS, IAM and CloudTrail put right: ``python -m simulations.lab.ministack_launcher``.

Reads ministack's own environment variables (``GATEWAY_PORT``, ``BIND_HOST``, ``AUTH``, ``CLOUDTRAIL_RECORDING``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.services import iam, kms

from simulations.lab import ministack_kms, ministack_trail

_KEYS_PER_USER = 2


def main() -> None:
    """Patch the server, then serve until SIGTERM."""
    app._loaded_modules["kms"] = kms
    ministack_kms.install()
    ministack_trail.install()
    iam._IAM_HANDLERS["CreateAccessKey"] = _two_keys_a_user(iam._IAM_HANDLERS["CreateAccessKey"])
    app.main()


def _two_keys_a_user(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """IAM's quota of two access keys a user, which ministack 1.5 does not enforce."""

    def create(parameters: Any) -> Any:
        user = iam._p(parameters, "UserName")
        if sum(entry["UserName"] == user for entry in iam._access_keys.values()) >= _KEYS_PER_USER:
            return iam._error(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", ns="iam")
        return original(parameters)

    return create


if __name__ == "__main__":
    main()
