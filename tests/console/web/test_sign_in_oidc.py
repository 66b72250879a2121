"""Signing in by OpenID Connect against a real provider: OpenBao's, with PKCE, signed id tokens and its own rules."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.testclient import TestClient
from web_office import PEOPLE, WebOffice, web_office

from console.web.sign_in import cookie_name
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import Processes

ORIGIN = "http://localhost:8750"
BACK = f"{ORIGIN}/sign-in/oidc/back"
PASSWORD = "correct horse of the tests"


@dataclass
class Provider:
    """An identity provider with two accounts: bob's, and one that nobody here has."""

    server: OpenBaoServer
    issuer: str
    client_id: str
    secret: Path

    def consents(self, user: str, url: str) -> dict[str, str]:
        """The person signs in there and is sent back; what the browser brings along."""
        login = httpx.post(f"{self.server.url}/v1/auth/userpass/login/{user}", json={"password": PASSWORD})
        token = login.raise_for_status().json()["auth"]["client_token"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        place = f"{self.issuer}/authorize"
        answer = httpx.get(place, params=asked, headers={"X-Vault-Token": token}).raise_for_status().json()
        return {"code": answer["code"], "state": answer["state"]}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """OpenBao as the company's identity provider."""
    folder = tmp_path_factory.mktemp("oidc")
    with Processes(folder) as processes:
        server = OpenBaoServer.start(processes, folder)
        server.call("POST", "sys/auth/userpass", {"type": "userpass"})
        for user, email in (("bob", "bob@example.com"), ("mallory", "mallory@example.com")):
            server.call("POST", f"auth/userpass/users/{user}", {"password": PASSWORD, "policies": "default"})
            login = httpx.post(f"{server.url}/v1/auth/userpass/login/{user}", json={"password": PASSWORD}).json()
            entity = login["auth"]["entity_id"]
            server.call("POST", f"identity/entity/id/{entity}", {"metadata": {"email": email}, "policies": ["sign-in"]})
        server.write_policy("sign-in", {"identity/oidc/provider/company/authorize": ["read"]})
        server.call("POST", "identity/oidc/key/company", {"algorithm": "ES256", "allowed_client_ids": ["*"]})
        client = {"redirect_uris": [BACK], "assignments": ["allow_all"], "key": "company"}
        server.call("POST", "identity/oidc/client/keyquell", client)
        made = server.call("GET", "identity/oidc/client/keyquell")["data"]
        template = '{"email": {{identity.entity.metadata.email}}, "email_verified": true}'
        body = {"template": base64.b64encode(template.encode()).decode()}
        server.call("POST", "identity/oidc/scope/email", body)
        company = {"allowed_client_ids": ["*"], "scopes_supported": ["email"], "issuer": server.url}
        server.call("POST", "identity/oidc/provider/company", company)
        secret = folder / "client-secret"
        secret.write_text(made["client_secret"])
        yield Provider(server, f"{server.url}/v1/identity/oidc/provider/company", made["client_id"], secret)


@pytest.fixture
def office(provider: Provider, tmp_path: Path) -> Iterator[WebOffice]:
    """The pages with this provider; bob's address stands in the roster."""
    oidc: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": f"file:{provider.secret}",
        "scopes": ["openid", "email"],
        "label": "the company account",
    }
    with web_office(tmp_path / "office", web={"url": ORIGIN, "oidc": oidc}) as found:
        found.roster([each | {"email": f"{each['name']}@example.com"} for each in PEOPLE])
        found.case()
        yield found


def browser(office: WebOffice) -> TestClient:
    return TestClient(office.app, base_url=ORIGIN, follow_redirects=False)


def test_a_person_of_the_roster_is_let_in_and_led_on(office: WebOffice, provider: Provider) -> None:
    """From the page that was asked for to the provider and back to it."""
    client = browser(office)
    assert "the company account" in client.get("/sign-in").text
    gone = client.get("/sign-in/oidc", params={"to": "/incidents"})
    assert gone.status_code == 303
    asked = parse_qs(urlsplit(gone.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = client.get("/sign-in/oidc/back", params=provider.consents("bob", gone.headers["location"]))
    assert (back.status_code, back.headers["location"]) == (303, "/incidents")
    assert client.get("/incidents").status_code == 200
    assert ">bob<" in client.get("/").text
    cookie = next(value for name, value in back.headers.multi_items() if name == "set-cookie")
    assert cookie.startswith(f"{cookie_name(office.wiring)}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_an_account_that_is_nobodys_here_stays_out(office: WebOffice, provider: Provider) -> None:
    """The provider knows them, the roster does not; it is recorded."""
    client = browser(office)
    gone = client.get("/sign-in/oidc")
    back = client.get("/sign-in/oidc/back", params=provider.consents("mallory", gone.headers["location"]))
    assert back.status_code == 403
    assert client.get("/", headers={"accept": "application/json"}).status_code == 401
    assert any("names nobody in the roster" in each for each in office.refusals())


def test_a_code_is_good_once_and_for_the_browser_that_began(office: WebOffice, provider: Provider) -> None:
    """A link with somebody else's code signs nobody in (login CSRF)."""
    client, victim = browser(office), browser(office)
    gone = client.get("/sign-in/oidc")
    brought = provider.consents("bob", gone.headers["location"])
    assert victim.get("/sign-in/oidc/back", params=brought).status_code == 403
    assert client.get("/sign-in/oidc/back", params=brought).status_code == 403
    again = client.get("/sign-in/oidc")
    brought = provider.consents("bob", again.headers["location"])
    assert client.get("/sign-in/oidc/back", params=brought | {"code": "guessed"}).status_code == 403
    assert client.get("/sign-in/oidc/back", params=brought).status_code == 403


def test_a_provider_that_is_away_is_said_and_the_passkey_named(office: WebOffice) -> None:
    """No traceback, no hint of the secret."""
    oidc = office.wiring.settings.web.oidc
    assert oidc is not None
    from integrations.oidc import OidcProvider
    from playbooks.errors import Unreachable

    away = OidcProvider(
        "http://127.0.0.1:9",
        client_id="x",
        client_secret=oidc.client_secret,
        scopes=(),
        back=BACK,
        clock=office.wiring.clock,
    )
    with pytest.raises(Unreachable, match="does not answer"):
        away.depart()
