"""One checkpoint as it is laid down, for the tests of the places."""

from __future__ import annotations

from collections.abc import Mapping

from playbooks.evidence.anchors import Sealed

INCIDENT = "KQ-20260302-abcd"
CONTENT = (
    f"keyquell checkpoint 1\nincident: {INCIDENT}\nevent: 12\nhead: {'ab' * 32}\nkey: installation\n"
    f"public-key-sha256: {'cd' * 32}\nsignature: c2lnbmF0dXJl+/8=\n"
).encode()


def checkpoint(
    *, exercise: bool = False, incident: str = INCIDENT, head: str = "ab" * 32, links: Mapping[str, str] | None = None
) -> Sealed:
    """A checkpoint over events 0 to 12."""
    return Sealed(
        incident=incident, codename="calm-otter", exercise=exercise, seq=12, head=head, content=CONTENT,
        links=links or {},
    )  # fmt: skip
