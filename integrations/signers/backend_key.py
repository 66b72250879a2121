"""A signing key that never leaves its backend: an HSM by PKCS#11, AWS KMS, or any other that signs.

Vendor permissions: use of the one key (PKCS#11 ``CKA_SIGN``; AWS ``kms:Sign``, ``kms:GetPublicKey``,
``kms:DescribeKey``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from integrations.signers.signatures import algorithm_of, pem_of, settled
from playbooks.errors import BackendError, Unavailable
from playbooks.ports import Signs
from playbooks.refs import KeyRef

_HINT = "Nothing is signed with another key instead: mend it, or name another key in evidence.signer."


class BackendKey:
    """Signs with one key of a backend: ECDSA on P-256, or RSA of 2048 bits or more, with SHA-256."""

    def __init__(self, backend: Signs, ref: KeyRef, public_key: str) -> None:
        self._backend, self._ref = backend, ref
        self.key = str(ref)
        self.public_key = public_key
        self.algorithm = algorithm_of(public_key)

    @classmethod
    def open(cls, backend: object, ref: KeyRef) -> BackendKey:
        """Read the public half.

        Raises Unavailable when the backend or a key of this kind signs no evidence, else what the backend raises.
        """
        if not isinstance(backend, Signs):
            raise Unavailable("this backend signs nothing.", subject=str(ref), hint=_HINT)
        with _named(ref):
            public_key = backend.public_key(ref)
        return cls(backend, ref, pem_of(public_key, subject=str(ref)))

    def sign(self, message: bytes) -> bytes:
        """The signature in its one accepted form.  Raises what the backend raises, with the way out."""
        with _named(self._ref):
            signature = self._backend.sign(self._ref, message)
        return settled(signature, self.algorithm)


@contextmanager
def _named(ref: KeyRef) -> Iterator[None]:
    """Say of a backend's error that it was about signing evidence, and that no other key took over."""
    try:
        yield
    except BackendError as error:
        message = f"the key {ref} that signs evidence did not answer as it should: {error.message}"
        hint = f"{error.hint} {_HINT}".strip()
        raise type(error)(message, subject=str(ref), code=error.code, hint=hint) from error
