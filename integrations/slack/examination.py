"""Does the app work as it is configured: tokens, workspace, scopes, the way events come?  Asks, and changes nothing."""

from __future__ import annotations

from slack_sdk import WebClient

from integrations.secrets import read_secret
from integrations.slack.client import QUIET, TIMEOUT_SECONDS, translated, web_client
from integrations.slack.manifest import manifest
from integrations.slack.options import SlackOptions
from playbooks.errors import Refused

_SCOPES = "x-oauth-scopes"


def examine(options: SlackOptions) -> str:
    """A sentence on the app as it stands.

    Raises Refused when a token is not good, is of another workspace, or lacks a scope of the manifest; Unreachable when
    Slack does not answer; InvalidInput when a secret is not there.
    """
    with translated("to say who we are"):
        answer = web_client(options).auth_test()
    team = str(answer.get("team_id", ""))
    if options.team and team != options.team:
        raise Refused(
            f"the bot token is of the workspace {team}, and slack.team is {options.team}.",
            subject="slack:",
            code="team",
            hint="Use the token of that workspace's installation.",
        )
    granted = {str(name).lower(): value for name, value in answer.headers.items()}.get(_SCOPES, "")
    missing = sorted(_wanted() - {each.strip() for each in str(granted).split(",")}) if granted else []
    if missing:
        raise Refused(
            f"the bot token lacks the scope{'s' if len(missing) > 1 else ''} {', '.join(missing)}.",
            subject="slack:",
            code="missing_scope",
            hint="Add what integrations/slack/manifest.yaml lists to the app, and install it again.",
        )
    _way_in(options)
    return f"{answer.get('team', team)}, as {answer.get('user', 'the app')}; events come by {_WAYS[options.mode]}"


_WAYS = {"socket": "Socket Mode", "http": "signed HTTP"}


def _way_in(options: SlackOptions) -> None:
    if options.mode == "http":
        read_secret(options.signing_secret)
        return
    client = WebClient(
        read_secret(options.app_token),
        base_url=options.base_url,
        timeout=TIMEOUT_SECONDS,
        retry_handlers=[],
        logger=QUIET,
    )
    with translated("to open Socket Mode with the app-level token"):
        client.apps_connections_open(app_token=read_secret(options.app_token))


def _wanted() -> set[str]:
    return set(manifest()["oauth_config"]["scopes"]["bot"])
