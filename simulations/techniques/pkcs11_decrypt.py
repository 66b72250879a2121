"""Unwraps stolen data keys inside an HSM with a stolen PIN.

The first byte of a wrapped data key tells how: 0x01 AES-GCM, 0x03 RSA-OAEP with SHA-1 of a frame (length, data key,
digest, padding).  A network HSM behind p11-kit's client offers the second only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from itertools import cycle
from typing import ClassVar

import pkcs11

from simulations.journals import AdversaryConfig, Loot
from simulations.techniques.hsm_login import HsmLogin
from simulations.techniques.lane import Finding
from simulations.techniques.stolen import opens

_OAEP_SHA1 = (pkcs11.Mechanism.SHA_1, pkcs11.MGF.SHA1, None)


class Pkcs11Decrypt:
    """Lane ``open`` logs in once and keeps its session; lane ``fresh`` presents the PIN again every time."""

    lanes: ClassVar[tuple[str, ...]] = ("open", "fresh")

    def __init__(self, config: AdversaryConfig, loot: Loot, *, lane: str) -> None:
        self._login = HsmLogin(config, loot)
        self._targets = cycle(loot.targets)
        self._lane = lane

    def attempt(self) -> Finding:
        """Unwrap the next stolen data key and open its object with it."""
        target = next(self._targets)
        try:
            data_key = self._unwrap(base64.b64decode(target.wrapped), target.context)
            if self._lane == "fresh":
                self._login.drop()
        except (pkcs11.PKCS11Error, AttributeError) as error:
            return self._login.failed(error, self._lane)
        if opens(target, data_key):
            return Finding(True, "", self._lane)
        return Finding(False, "wrong-data-key", self._lane)

    def _unwrap(self, blob: bytes, context: Mapping[str, str]) -> bytes:
        kind, sealed = blob[:1], blob[1:]
        if kind == b"\x01":
            bound = json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode() if context else b""
            parameters = pkcs11.GCMParams(sealed[:12], bound or None, 128)
            key = self._login.key(pkcs11.ObjectClass.SECRET_KEY)
            return bytes(key.decrypt(sealed[12:], mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters))
        key = self._login.key(pkcs11.ObjectClass.PRIVATE_KEY)
        frame = bytes(key.decrypt(sealed, mechanism=pkcs11.Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP_SHA1))
        return frame[1 : 1 + frame[0]]
