"""Who acts by a form of a page, and what the form says."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

from console.output import login_name
from console.web.visitors import Visitor
from playbooks.desk import Actor


async def said_in(request: Request) -> dict[str, str]:
    """The fields of a form, each once; line breaks as people write them."""
    body = (await request.body()).decode("utf-8", "replace")
    fields = parse_qs(body, keep_blank_values=True)
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}


def actor_of(visitor: Visitor, said: dict[str, str]) -> Actor:
    """The person of the session; where no roster is, the ``name`` that was given counts."""
    if visitor.how == "local":
        return Actor(account=said.get("name", "").strip()[:64] or login_name(), via="cli")
    return Actor(account=visitor.name, via="web")
