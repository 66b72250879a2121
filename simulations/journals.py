"""What the drill's own processes write and read: journals line by line, and the configuration each is started with.

The adversary and the workload are separate processes.  Each takes one JSON file (``--config``), appends one JSON object
a line to its journal, flushes every line and ends cleanly on SIGTERM.  Scoring reads nothing else from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from playbooks.errors import InvalidInput
from playbooks.refs import CertificateRef, DatasetRef, KeyRef

Technique = Literal["aws-kms-decrypt", "pkcs11-decrypt", "transit-offline-decrypt", "pkcs11-sign-forgery"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- journal lines ---------------------------------------------------------------------------


class AdversaryAttempt(_Frozen):
    """One try with the leaked thing.

    ``ok`` means that the attacker got what it wants: plaintext, or an accepted forgery.  ``code`` is the backend's own
    refusal code, "" when it worked.  ``detail`` names the route (``key``, ``session``, ``fresh``, ``open``); no secret.
    """

    at: AwareDatetime
    finished_at: AwareDatetime
    technique: Technique
    ok: bool
    code: str = ""
    detail: str = ""


class WorkloadRequest(_Frozen):
    """One request of the legitimate service.

    ``plaintext_version`` is the version of ``simulations.seed.plaintext`` that was written or read.  A failed write
    carries the version that it tried to write: it may or may not have reached the store.
    """

    at: AwareDatetime
    finished_at: AwareDatetime
    operation: Literal["read", "write", "sign", "verify"]
    dataset: str = Field(description="Dataset URI; for sign and verify the key's URI.")
    object: str = Field(description="Object id; for sign and verify the artifact's name.")
    ok: bool
    code: str = ""
    latency_ms: float = Field(ge=0)
    plaintext_version: int = Field(default=0, ge=0)


# --- configuration ---------------------------------------------------------------------------


class Target(_Frozen):
    """A wrapped data key that the attacker stole together with its ciphertext."""

    wrapped: str = Field(description="Base64 of the wrapped data key as the backend takes it.")
    context: dict[str, str] = Field(default_factory=dict, description="Encryption context (AWS KMS).")
    name: str = Field(default="", description="Dataset URI and object id, for people.")
    stored: str = Field(default="", description="Base64 of the whole copied object: proves that the data key opens it.")
    aad: str = Field(default="", description="Base64 of the associated data of a column value.")


class Loot(_Frozen):
    """What leaks, in one file that the harness hands over at detonation (mode 0600).

    Which fields are set follows from the technique: access key (``aws-kms-decrypt``), ``pin`` (``pkcs11-*``), ``token``
    and ``dsn`` (``transit-offline-decrypt``: an OpenBao token that may export, a conninfo that may read the table).
    """

    access_key_id: str = ""
    secret_access_key: str = ""
    pin: str = ""
    token: str = ""
    dsn: str = ""
    targets: tuple[Target, ...] = ()


class AdversaryConfig(_Frozen):
    """``adversary.json``: everything but the leak itself, which arrives later as the file ``loot``.

    The adversary waits for ``loot`` (it polls), then tries at the set rate until SIGTERM.  It alternates between what
    it opened at its first success (a role session, a logged-in HSM session, an open database connection) and a fresh
    start with the leaked thing.  Only the fields of its technique are set.
    """

    technique: Technique
    loot: Path
    journal: Path
    rate_per_second: float = Field(gt=0, le=200)
    user_agent: str = Field(default="aws-cli/2.27.0 md/prompt#off", description="What it shows to a trail.")
    # aws-kms-decrypt
    endpoint_url: str = ""
    region: str = ""
    role_arn: str = Field(default="", description="Role from which it mints a session at once; empty: none.")
    # pkcs11-*
    module: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    token: str = Field(default="", description="Token label.")
    key_label: str = ""
    # transit-offline-decrypt
    url: str = ""
    transit_mount: str = "transit"
    transit_key: str = ""
    table: str = Field(default="", description="schema.table")
    column: str = ""
    key_column: str = "id"
    # pkcs11-sign-forgery
    relying_party_url: str = Field(default="", description="POST Submission here, get Verdict.")
    claimed_key: str = Field(default="", description="KeyRef that the forgery claims to be signed by.")
    key_spki_sha256: str = ""


class WorkloadDataset(_Frozen):
    """A dataset that the service reads and writes; object ids are ``simulations.seed.object_ids(objects)``.

    ``key`` is used for new writes until ``settings.json`` says ``key.<dataset uri>``.  Files hold one object each at
    ``ROOT/FOLDER/OBJECT`` (root from the connection); a column holds it in the row whose ``key_column`` is the number
    in the object id.
    """

    ref: DatasetRef
    envelope: Literal["esdk", "tink"]
    key: KeyRef
    objects: int = Field(gt=0)
    key_column: str = "id"


class SigningService(_Frozen):
    """A signer and its relying party.

    The signer owns the config-dir folder of ``consumer`` (``artifacts/NAME``, ``artifacts/NAME.sig.json``,
    ``ledger.ndjson``); the relying party serves ``POST /verify`` on ``relying_party_port`` and notes every accepted
    signature in ``signature_log`` (one JSON object a line: at, artifact_sha256, key, key_spki_sha256, accepted).
    """

    key: KeyRef
    certificate: CertificateRef
    certificate_file: Path = Field(description="PEM of the first certificate.")
    relying_party: str = Field(description="Consumer name of the relying party.")
    relying_party_settings: Path = Field(description="Its config-dir folder.")
    relying_party_port: int
    signature_log: Path
    issuer_url: str = Field(default="", description="OpenBao PKI mount for certificates and CRL, unauthenticated.")


class WorkloadConfig(_Frozen):
    """``workload.json``: the legitimate service, its credentials by file reference only.

    ``connections`` have the form of ``keyquell.yaml`` with the *service's own* credentials; their files are replaced
    when a new credential is delivered, so the service opens its clients again when a file or ``settings.json`` changed,
    and once more after a refusal.  ``settings`` is its config-dir folder: it reads ``settings.json`` there and
    writes ``health.json`` about every 0.2 s.
    """

    kind: Literal["data-service", "signing-service"]
    consumer: str
    seed: int
    rate_per_second: float = Field(gt=0, le=500)
    write_share: float = Field(default=0.2, ge=0, le=1)
    journal: Path
    settings: Path
    credential_file: Path
    connections: dict[str, dict[str, JsonValue]]
    datasets: tuple[WorkloadDataset, ...] = ()
    signing: SigningService | None = None


class Submission(_Frozen):
    """What is handed to a relying party: an artifact with a detached signature (base64)."""

    name: str
    artifact: str
    key: str
    key_spki_sha256: str
    signature: str


class Verdict(_Frozen):
    """A relying party's answer; ``code`` says why not: bad-signature, unknown-key, after-cutoff, revoked."""

    accepted: bool
    code: str = ""


# --- reading and writing ---------------------------------------------------------------------

Line = TypeVar("Line", bound=BaseModel)


class Journal:
    """Appends lines to a journal, each flushed as it is written; a context manager."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for appending; the folder must exist."""
        return cls(path.open("a", encoding="utf-8"))

    def write(self, line: BaseModel) -> None:
        """Append one line."""
        self._stream.write(line.model_dump_json() + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def read_journal(path: Path, line: type[Line]) -> Iterator[Line]:
    """The lines of a journal in order; a last line cut off by a kill is left out, a missing file is empty.

    Raises InvalidInput naming file and line for anything else that does not fit.
    """
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    complete = text.endswith("\n")
    lines = text.splitlines()
    for number, content in enumerate(lines, start=1):
        if number == len(lines) and not complete:
            return
        try:
            yield line.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(f"{path}:{number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


Config = TypeVar("Config", AdversaryConfig, WorkloadConfig)


def read_config(path: Path, model: type[Config]) -> Config:
    """Read ``adversary.json`` or ``workload.json``.

    Raises InvalidInput naming the file and the field.
    """
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error


def milliseconds(start: datetime, end: datetime) -> float:
    """The time between two moments, never negative."""
    return max(0.0, (end - start).total_seconds() * 1000)
