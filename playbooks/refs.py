"""URIs that name keys, credentials, datasets and certificates without holding a secret.

The general form is ``SCHEME:CONNECTION/PATH``; the connection is configured once, by name, with
its credentials by reference.  ``pkcs11:`` follows RFC 7512; there the token label is the connection.

====================================  ==============================================================
``aws-kms:prod/1234abcd-…``            a KMS key by its id, through the connection ``prod``
``openbao:vault/transit/orders``       the key ``orders`` of the transit mount ``transit``
``pkcs11:token=kek-hsm;object=kek``    the object labelled ``kek`` on the token ``kek-hsm``
``aws-iam:prod/svc-app/AKIA…``         an access key of the IAM user ``svc-app``
``openbao-token:vault/ACCESSOR``       a token by its accessor
``pkcs11-pin:kek-hsm/user``            the user PIN of a token
``postgres-role:shop/report``          a database login
``files:docs/invoices``                the folder ``invoices`` below the root of ``docs``
``postgres:shop/public.orders.card``   one column of one table
``openbao-pki:vault/pki/7a-2f-…``      a certificate by its issuing mount and serial
====================================  ==============================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self
from urllib.parse import quote, unquote

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from playbooks.errors import InvalidInput

_SECRET_ATTRIBUTES = ("pin-value", "pin-source", "token-value", "secret", "password", "passwd")


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """``scheme:connection/path``, validated, hashable, and equal when the URIs are equal."""

    scheme: str
    connection: str
    path: str

    schemes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a URI.

        Raises InvalidInput when the scheme is not one of this class, a part is missing, or the URI carries something
        that looks like a secret or that cannot be seen.
        """
        scheme, colon, rest = uri.partition(":")
        if not colon or (cls.schemes and scheme not in cls.schemes):
            expected = ", ".join(f"{name}:" for name in cls.schemes) or "scheme:"
            raise InvalidInput(
                f"{cls.__name__} {_shown(uri)!r} must start with one of {expected}",
                hint="Write it as SCHEME:CONNECTION/PATH.",
            )
        if "@" in rest or ("=" in rest and _bears_secret(rest.lower())):
            raise InvalidInput(
                f"a {scheme}: URI must not carry a PIN, password or token",
                hint="Put the secret in the connection's settings by reference (env:NAME or file:PATH).",
            )
        connection, path = _pkcs11_parts(uri, rest) if scheme == "pkcs11" else _plain_parts(uri, rest)
        if not (connection + path).isprintable():
            raise InvalidInput(
                f"a {scheme}: URI holds a character that cannot be seen",
                hint="Write it anew by hand: no line breaks, control or direction characters.",
            )
        return cls(scheme, connection, path)

    def __str__(self) -> str:
        if self.scheme == "pkcs11":
            return f"pkcs11:token={quote(self.connection)};object={quote(self.path)}"
        return f"{self.scheme}:{self.connection}/{self.path}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Ref:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                raise ValueError(f"expected a {cls.__name__} URI, got {type(value).__name__}")
            try:
                return cls.parse(value)
            except InvalidInput as error:
                raise ValueError(str(error)) from error

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.to_string_ser_schema(),
            json_schema_input_schema=core_schema.str_schema(),
        )


class KeyRef(Ref):
    """Names a key: ``aws-kms:``, ``openbao:`` or ``pkcs11:``."""

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = ("aws-kms", "openbao", "pkcs11")


class CredentialRef(Ref):
    """Names a credential that authenticates somebody: access key, token, PIN, database login."""

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = ("aws-iam", "openbao-token", "pkcs11-pin", "postgres-role")


class DatasetRef(Ref):
    """Names encrypted data at rest: a folder of files or a column of a table."""

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = ("files", "postgres")


class CertificateRef(Ref):
    """Names an issued certificate by issuer and serial."""

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = ("openbao-pki",)


def parse_ref(uri: str) -> Ref:
    """Read any reference; the scheme decides which kind it is.

    Raises InvalidInput when no kind knows the scheme.
    """
    scheme = uri.partition(":")[0]
    for kind in (KeyRef, CredentialRef, DatasetRef, CertificateRef):
        if scheme in kind.schemes:
            return kind.parse(uri)
    known = ", ".join(name for kind in (KeyRef, CredentialRef, DatasetRef, CertificateRef) for name in kind.schemes)
    raise InvalidInput(f"nothing here understands {_shown(uri)!r}", hint=f"Known schemes: {known}.")


def _bears_secret(rest: str) -> bool:
    return any(f"{name}=" in rest for name in _SECRET_ATTRIBUTES)


def _shown(uri: str) -> str:
    """The start of a URI, short enough that a secret pasted by mistake is not repeated whole."""
    return uri if len(uri) <= 12 else f"{uri[:12]}…"


def _plain_parts(uri: str, rest: str) -> tuple[str, str]:
    connection, slash, path = rest.partition("/")
    if not connection or not slash or not path:
        raise InvalidInput(f"{_shown(uri)!r} lacks a connection or a path", hint="Write it as SCHEME:CONNECTION/PATH.")
    return connection, path


def _pkcs11_parts(uri: str, rest: str) -> tuple[str, str]:
    parts = dict(part.partition("=")[::2] for part in rest.split(";") if part)
    unknown = sorted(set(parts) - {"token", "object"})
    if unknown or not parts.get("token") or not parts.get("object"):
        raise InvalidInput(
            f"{_shown(uri)!r} must name a token and an object, and nothing else",
            hint="Write it as pkcs11:token=LABEL;object=LABEL (RFC 7512).",
        )
    return unquote(parts["token"]), unquote(parts["object"])
