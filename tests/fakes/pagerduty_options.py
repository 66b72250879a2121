"""The settings of a pager for the fake PagerDuty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes.pagerduty_server import FakePagerDuty


def pager_options(folder: Path, fake: FakePagerDuty) -> dict[str, Any]:
    """Both APIs and webhooks; the secrets are in the files ``routing``, ``token`` and ``hook`` of the folder."""
    secrets = {"routing": fake.routing_key, "token": fake.account.token, "hook": fake.webhook_secrets[0]}
    for name, secret in secrets.items():
        (folder / name).write_text(f"{secret}\n", encoding="utf-8")
    return {
        "routing_key": f"file:{folder}/routing",
        "api_token": f"file:{folder}/token",
        "from_email": "asha@example.com",
        "webhook_secrets": [f"file:{folder}/hook"],
        "events_url": fake.url,
        "api_url": fake.url,
        "verify": str(fake.ca),
    }
