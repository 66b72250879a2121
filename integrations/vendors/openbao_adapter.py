"""What the adapters of an OpenBao connection share: one session, how they are opened and closed, and their receipts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import JsonValue

from integrations.vendors.openbao import Answer, OpenBaoConnection, OpenBaoSession
from playbooks.ports import Clock
from playbooks.receipts import Receipt
from playbooks.refs import Ref


class OpenBaoAdapter:
    """Base of an adapter that acts as the connection's own identity."""

    def __init__(self, name: str, connection: OpenBaoConnection, clock: Clock) -> None:
        self._name = name
        self._connection = connection
        self._clock = clock
        self._session = OpenBaoSession(name, connection)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {self._connection.url!r})"

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open with the options of ``OpenBaoConnection``; InvalidInput names the connection and the wrong field."""
        return cls(name, OpenBaoConnection.read(name, options), clock)

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _receipt(
        self,
        ref: Ref,
        move: str,
        requested: datetime,
        answer: Answer | None = None,
        *,
        changed: bool = True,
        undo: dict[str, JsonValue] | None = None,
    ) -> Receipt:
        return Receipt(
            subject=str(ref),
            move=move,
            requested_at=requested,
            accepted_at=self._clock(),
            request_id=answer.request_id if answer else "",
            changed=changed,
            undo=undo or {},
        )
