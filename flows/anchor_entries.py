"""How entries of ``anchors`` lean on the other settings: the chat's app and the pager's account are given once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.settings import Settings, name_of
from playbooks.errors import InvalidInput

_SLACK, _PAGERDUTY = "slack", "pagerduty"


def options_of(settings: Settings, entry: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The options with which the anchor of an entry is opened; ``own`` are those that stand in the entry.

    Raises InvalidInput when the chat or the pager that it leans on is not configured.
    """
    leans = _leans_on(settings, entry)
    shared = {key: value for key, value in (leans or {}).items() if key not in ("type", "name", "fallback")}
    return shared | {key: value for key, value in own.items() if key != "pager"}


def surface_of(settings: Settings, entry: Mapping[str, Any]) -> str:
    """The name under which the record keeps the ids of the case there; "" for a place that has none."""
    leans = _leans_on(settings, entry)
    return name_of(leans) if leans else ""


def _leans_on(settings: Settings, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry of the chat or the pager behind this one; None when it stands alone."""
    kind = entry.get("type")
    if kind == _SLACK:
        if not settings.slack:
            raise InvalidInput(f"anchors.{name_of(entry)}: no slack is configured.", hint="Fill in slack: first.")
        return {**settings.slack, "type": _SLACK}
    if kind != _PAGERDUTY:
        return None
    pagers = [each for each in settings.pagers if each.get("type") == _PAGERDUTY]
    wanted = entry.get("pager", name_of(pagers[0]) if pagers else "")
    for each in pagers:
        if name_of(each) == wanted:
            return each
    known = ", ".join(map(name_of, pagers)) or "none"
    message = f"anchors.{name_of(entry)}: pager: no pager of PagerDuty is called {wanted!r}."
    raise InvalidInput(message, hint=f"Configured: {known}.")
