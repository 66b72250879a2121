"""The leaked access key of the shop, as detectors find it and people declare it, and writers that die."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_shop import Shop

from flows import intake
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Signal


def finding(
    access_key_id: str, external_id: str = "f-1", source: str = "scanner", *, confidence: float = 0.9, hours: float = 0
) -> Signal:
    """A scanner's finding of this access key, observed so many hours from now."""
    return Signal(
        source=source,
        external_id=external_id,
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=access_key_id),),
        summary="An access key stands in a public place.",
        observed_at=datetime.now(UTC) + timedelta(hours=hours),
        confidence=confidence,
    )


def declared(wiring: Wiring, shop: Shop) -> str:
    """A person says that the shop's access key is out."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    return intake.declare(wiring, [exposure], requested_by="alice")


def die_after(monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """Let this many events be written, then be interrupted before the next."""
    real, count = SqlRecords.append, 0

    def append(self: SqlRecords, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        if count == written:
            raise KeyboardInterrupt
        count += 1
        return real(self, *arguments, **options)

    monkeypatch.setattr(SqlRecords, "append", append)
