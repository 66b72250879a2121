"""GitHub's REST API: one client with our own timeouts, pages by the Link header, errors translated."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from integrations.hooks import parse_json
from integrations.secrets import read_secret
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Throttled, Unavailable, Unreachable

API = "https://api.github.com"
"""The public API; a GitHub Enterprise Server has ``https://HOST/api/v3``."""

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
_log = logging.getLogger(__name__)
_MOST_PAGES = 50
_VERSION = "2022-11-28"


class GitHubApi:
    """Reads from ``base_url`` with the token behind a reference ("" asks as nobody); one attempt a call.

    The token is read with each call, so that a renewed one is used at once.
    """

    def __init__(self, name: str, *, base_url: str = API, token: str = "") -> None:
        self._name = name
        self._base = base_url.rstrip("/")
        self._token = token
        self._client = httpx.Client(
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
            follow_redirects=False,  # a redirect would carry the token to another host
        )

    def __repr__(self) -> str:
        return f"GitHubApi({self._name!r}, {self._base!r})"

    def get(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Any:
        """The JSON at a path below the base, or at a whole address.

        Raises Refused, NotFound, Throttled, Unreachable or Unavailable; messages hold nothing of the answer's body.
        """
        return self._read(self._url(path), parameters)[0]

    def pages(self, path: str, parameters: Mapping[str, str | int]) -> Iterator[list[Any]]:
        """The pages of a list, at most 50; the next one is followed only on the same server.  Raises as ``get``."""
        url, more = self._url(path), dict(parameters)
        for _ in range(_MOST_PAGES):
            page, following = self._read(url, more)
            if not isinstance(page, list):
                raise Unavailable(f"GitHub answered {path} with no list.", subject=self._name, code="not-a-list")
            yield page
            if not following or urlsplit(following)[:2] != urlsplit(self._base)[:2]:
                return
            url, more = following, {}
        _log.warning("%s: GitHub lists more than %d pages; the rest is not read", self._name, _MOST_PAGES)

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def _url(self, path: str) -> str:
        return path if path.startswith(("https://", "http://")) else f"{self._base}/{path.lstrip('/')}"

    def _read(self, url: str, parameters: Mapping[str, str | int] | None) -> tuple[Any, str]:
        headers = {"Authorization": f"Bearer {read_secret(self._token)}"} if self._token else {}
        try:
            response = self._client.get(url, params=dict(parameters) if parameters else None, headers=headers)
        except httpx.TimeoutException as error:
            raise self._unreachable("timeout") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(type(error).__name__) from error
        if not response.is_success:
            raise _meaning(response, self._name)
        try:
            return parse_json(response.content, sender=self._name), response.links.get("next", {}).get("url", "")
        except InvalidInput as error:
            raise Unavailable("GitHub answered without JSON.", subject=self._name, code="not-json") from error

    def _unreachable(self, code: str) -> Unreachable:
        return Unreachable(f"GitHub was not reached at {self._base} ({code}).", subject=self._name, code=code)


def _meaning(response: httpx.Response, name: str) -> BackendError:
    """What an answer says that is no success; both rate limits come as 403 or 429."""
    status, headers = response.status_code, response.headers
    later = headers.get("retry-after", "")
    spent = headers.get("x-ratelimit-remaining") == "0"
    if status == 429 or (status == 403 and (later or spent)):
        until = f"in {later} s" if later else f"after the Unix time {headers.get('x-ratelimit-reset', '(not said)')}"
        return Throttled(f"GitHub asks to come back {until}.", subject=name, code=str(status))
    kinds: dict[int, tuple[type[BackendError], str]] = {
        401: (Refused, "The token is wrong or has expired."),
        403: (Refused, "The token lacks the permission to read secret scanning alerts."),
        404: (NotFound, "Check the repository's or organisation's name, and that secret scanning is on."),
    }
    kind, hint = kinds.get(status, (Unreachable if status >= 500 else Unavailable, ""))
    return kind(f"GitHub answered {status}.", subject=name, code=str(status), hint=hint)
