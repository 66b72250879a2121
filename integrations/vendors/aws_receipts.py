"""Receipts of moves on AWS: the reply of the call that changed something names its request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from integrations.vendors.aws import request_id
from playbooks.ports import Clock
from playbooks.receipts import Receipt
from playbooks.refs import Ref


class AwsReceipts:
    """Base of an adapter that makes such receipts."""

    _clock: Clock

    def receipt(
        self,
        ref: Ref,
        move: str,
        requested: datetime,
        answer: Mapping[str, Any] | None = None,
        *,
        undo: dict[str, JsonValue] | None = None,
    ) -> Receipt:
        """``answer`` is the reply of the call that changed something; None when it was already so."""
        return Receipt(
            subject=str(ref),
            move=move,
            requested_at=requested,
            accepted_at=self._clock(),
            request_id=request_id(answer or {}),
            changed=answer is not None,
            undo=undo or {},
        )
