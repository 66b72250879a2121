"""Where a request comes from, believing only the proxies that the settings name."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from starlette.requests import Request


def client_address(request: Request, trusted_proxies: Iterable[str]) -> str:
    """The address of the client: the peer, or what the trusted proxies in a row say of it; "" when there is none.

    ``X-Forwarded-For`` is read from its end (RFC 7239 section 5.2 gives the order), because only what a trusted proxy
    appended is true; everything before an untrusted address may be invented.
    """
    peer = request.client.host if request.client else ""
    named = [each.strip() for value in request.headers.getlist("x-forwarded-for") for each in value.split(",")]
    while named and _is_trusted(peer, trusted_proxies) and _is_address(named[-1]):
        peer = named.pop()
    return peer


def _is_trusted(address: str, proxies: Iterable[str]) -> bool:
    return _is_address(address) and any(ip_address(address) in ip_network(each, strict=False) for each in proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
