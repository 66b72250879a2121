"""Checkpoints in a bucket with object lock: until their time is over nobody deletes them, root included.

S3 Object Lock in compliance mode, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.  What counts
is what is read back: servers that speak S3 and have no object lock take its headers and ignore them.

Vendor permissions: ``s3:PutObject``, ``s3:PutObjectRetention``, ``s3:GetObject``, ``s3:GetObjectVersion``,
``s3:GetObjectRetention`` on the prefix; ``s3:GetBucketObjectLockConfiguration``, ``s3:ListBucket`` on the bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Self

from pydantic import Field

from integrations.options import read_options
from integrations.receiver_options import SECONDS, ReceiverOptions
from integrations.vendors.aws import AwsConnection, client, translated
from playbooks.errors import BackendError, IntegrityFailure, NotFound, Unavailable
from playbooks.evidence.anchors import Anchored, Sealed
from playbooks.ports import Clock

_COMPLIANCE = "COMPLIANCE"
_NO_LOCK = "ObjectLockConfigurationNotFoundError"
_ABSENT = {"NoSuchKey", "404"}
_HINT = "Make another bucket with object lock, and name it in anchors."
_SLACK = timedelta(days=1)
"""What lies there already may end this much earlier: it was laid down a moment ago."""


class S3ObjectLockOptions(ReceiverOptions):
    """Nobody can shorten what ``retain_days`` says, so there is no default."""

    connection: dict[str, Any] = Field(description="Name of a connection of type aws.")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(default="keyquell", pattern=r"^[A-Za-z0-9!_.*'()/-]*$")
    retain_days: int = Field(ge=1, le=36_500)


class S3ObjectLock:
    """One bucket.  An object is named by case, event and head, so that the same checkpoint is found again."""

    place = "s3-object-lock"

    def __init__(self, name: str, connection: AwsConnection, options: S3ObjectLockOptions, *, clock: Clock) -> None:
        self.name = name
        self._connection = connection
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Nothing is called yet.  Raises InvalidInput naming the field."""
        read = read_options(S3ObjectLockOptions, f"anchors.{name}", options)
        return cls(name, AwsConnection.read(name, read.connection), read, clock=clock)

    def check(self) -> str:
        """Does the bucket lock objects?  Raises Unavailable when it does not, else what AWS answers."""
        self._require_lock()
        return f"{self._options.bucket} locks objects; each stays for {self._options.retain_days} days"

    def anchor(self, checkpoint: Sealed) -> Anchored:
        """Lay it down locked, unless it lies there; the object and its version.

        Raises Unavailable when the bucket locks nothing, IntegrityFailure when other bytes or no lock are read back,
        else what AWS answers.
        """
        self._require_lock()
        key = self._key(checkpoint)
        wanted = self._clock().replace(microsecond=0) + timedelta(days=self._options.retain_days)
        version = self._kept(key, checkpoint, least=wanted - _SLACK) or self._put(key, checkpoint, wanted)
        return Anchored(f"s3://{self._options.bucket}/{key}?versionId={version}")

    def close(self) -> None:
        """End the connections."""
        if "_s3" in self.__dict__:
            self._s3.close()

    @cached_property
    def _s3(self) -> Any:
        return client(self._connection, "s3", seconds=SECONDS)

    def _key(self, checkpoint: Sealed) -> str:
        """Exercises lie apart."""
        folders = [self._options.prefix.strip("/"), "exercises" if checkpoint.exercise else "", checkpoint.incident]
        file = f"event-{checkpoint.seq:05}-{checkpoint.head[:16]}.sealed"
        return "/".join([*filter(None, folders), file])

    def _require_lock(self) -> None:
        bucket = self._options.bucket
        message = f"the bucket {bucket} has no object lock, so nothing is laid down there."
        try:
            found = self._call("get_object_lock_configuration")
        except BackendError as error:
            if error.code == _NO_LOCK:
                raise Unavailable(message, subject=f"s3://{bucket}", code=error.code, hint=_HINT) from error
            raise
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise Unavailable(message, subject=f"s3://{bucket}", hint=_HINT)

    def _kept(self, key: str, checkpoint: Sealed, *, least: datetime) -> str:
        """The version that lies there, locked long enough and the same to the last byte; "" when there is none."""
        try:
            found = self._call("get_object", Key=key)
        except BackendError as error:
            if isinstance(error, NotFound) or error.code in _ABSENT:
                return ""
            raise
        return str(found.get("VersionId", "")) if _is_locked(found, checkpoint.content, least) else ""

    def _put(self, key: str, checkpoint: Sealed, until: datetime) -> str:
        """A new version; it counts only when it is read back as it was written."""
        put = self._call(
            "put_object",
            Key=key,
            Body=checkpoint.content,
            ContentType="text/plain; charset=utf-8",
            Metadata={"exercise": str(checkpoint.exercise).lower()},
            ChecksumAlgorithm="SHA256",
            ObjectLockMode=_COMPLIANCE,
            ObjectLockRetainUntilDate=until,
        )
        version = str(put.get("VersionId", ""))
        found = self._call("get_object", Key=key, VersionId=version) if version else {}
        if not found or not _is_locked(found, checkpoint.content, until):
            message = f"the checkpoint in {self._options.bucket} is not read back as it was written, or is not locked."
            raise IntegrityFailure(message, subject=f"s3://{self._options.bucket}/{key}", hint=_HINT)
        return version

    def _call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        bucket = self._options.bucket
        with translated(f"s3://{bucket}"):
            found: Mapping[str, Any] = getattr(self._s3, operation)(Bucket=bucket, **arguments)
            if operation != "get_object":
                return found
            return {**found, "Body": found["Body"].read()}


def _is_locked(found: Mapping[str, Any], content: bytes, least: datetime) -> bool:
    until = found.get("ObjectLockRetainUntilDate")
    locked = found.get("ObjectLockMode") == _COMPLIANCE and until is not None and until >= least
    return locked and found["Body"] == content
