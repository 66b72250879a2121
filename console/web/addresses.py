"""Where a request comes from, believing only the proxies that the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request

_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::\d{1,5})?|(?P<four>[0-9.]+):\d{1,5}")


def client_address(request: Request, trusted_proxies: Iterable[str]) -> str:
    """The address of the client: the peer, or what the trusted proxies in a row say of it; "" when nobody can say.

    ``X-Forwarded-For`` is read from its end (RFC 7239 section 5.2 gives the order), because only what a trusted proxy
    appended is true; everything before an untrusted address may be invented.  What a trusted proxy says and cannot be
    read is no address: the proxy's own would let everybody behind it in.
    """
    proxies = tuple(trusted_proxies)
    peer = _address(request.client.host) if request.client else ""
    named = [each for value in request.headers.getlist("x-forwarded-for") for each in value.split(",")]
    while named and _is_trusted(peer, proxies):
        peer = _address(named.pop())
    return peer


def _is_trusted(address: str, proxies: Iterable[str]) -> bool:
    return bool(address) and any(ip_address(address) in ip_network(each, strict=False) for each in proxies)


def _address(text: str) -> str:
    """The address in its usual form, without port or brackets; an IPv4 address in IPv6 form is one of IPv4."""
    text = text.strip().strip('"')
    with_port = _WITH_PORT.fullmatch(text)
    try:
        found = ip_address((with_port["six"] or with_port["four"]) if with_port else text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)
