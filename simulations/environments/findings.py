"""What a secret scanner writes when it finds something: TruffleHog 3's JSON, one object a line, the secret included.

The commit is made when the lab is, so that how long the leak went unnoticed is that of the drill.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def aws_finding(access_key_id: str, secret_access_key: str) -> str:
    """An AWS access key in a public repository, verified by the scanner."""
    return _line(
        detector="AWS",
        detector_type=2,
        raw=access_key_id,
        raw_v2=f"{access_key_id}:{secret_access_key}",
        file="deploy/settings.py",
        verified=True,
        extra={"resource_type": "Access key", "rotation_guide": "https://howtorotate.com/docs/tutorials/aws/"},
    )


def pin_finding(pin: str) -> str:
    """The PIN of a token in a deployment script, found by a custom rule; a scanner cannot verify it."""
    return _line(
        detector="CustomRegex",
        detector_type=15,
        raw=pin,
        raw_v2="",
        file="scripts/start-hsm-client.sh",
        verified=False,
        extra={"name": "hsm-user-pin"},
    )


def _line(
    *, detector: str, detector_type: int, raw: str, raw_v2: str, file: str, verified: bool, extra: dict[str, Any]
) -> str:
    git = {
        "commit": "5b4f0c6d2b1a9e8d7c6b5a4f3e2d1c0b9a8f7e6d",
        "file": file,
        "email": "dev@shop.example",
        "repository": "https://git.shop.example/deploy",
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S +0000}",
        "line": 12,
    }
    finding = {
        "SourceMetadata": {"Data": {"Git": git}},
        "SourceID": 1,
        "SourceType": 16,
        "SourceName": "trufflehog - git",
        "DetectorType": detector_type,
        "DetectorName": detector,
        "DecoderName": "PLAIN",
        "Verified": verified,
        "Raw": raw,
        "RawV2": raw_v2,
        "Redacted": "",
        "ExtraData": extra,
        "StructuredData": None,
    }
    return json.dumps(finding) + "\n"
