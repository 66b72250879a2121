"""A visitor of the pages without a browser."""

from __future__ import annotations

from starlette.testclient import TestClient
from web_office import WebOffice

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn


def visiting(office: WebOffice, person: str = "bob") -> TestClient:
    """A client with a session of this person, whose forms come from the pages themselves."""
    url = office.wiring.settings.web.url
    client = TestClient(office.app, base_url=url, headers={"origin": url, "sec-fetch-site": "same-origin"})
    client.cookies.set(cookie_name(office.wiring), SignIn(office.wiring).begin(person, "passkey"))
    return client
