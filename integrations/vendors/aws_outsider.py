"""Calls as somebody else: each is signed with the login that is given, and goes over a connection of its own.

botocore takes 10 ms to build a client and binds it to one login.  Twenty leaks at once would need a hundred clients, so
here one service's model, serializer and parser serve every login, and only the signature and the connection are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.credentials import Credentials
from botocore.endpoint import EndpointCreator
from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

AGENT = f"Boto3/{boto3.__version__} keyquell"
"""How we name ourselves to AWS; CloudTrail shows it."""


class Door:
    """One service at one endpoint; ``like`` is a client of it, whose model, region and endpoint are taken.

    ``ca_bundle`` is as botocore's setting of that name; proxies are taken from the environment, as botocore does.
    """

    def __init__(self, like: Any, *, seconds: float, ca_bundle: str | None) -> None:
        self._model = like.meta.service_model
        self._names: Mapping[str, str] = like.meta.method_to_api_mapping
        self._region = like.meta.region_name
        self._url = like.meta.endpoint_url
        self._seconds = seconds
        self._ca_bundle = ca_bundle
        self._serializer = create_serializer(self._model.resolved_protocol)
        self._parser = create_parser(self._model.resolved_protocol)
        self._idle: list[Any] = []

    def call(self, method: str, login: Mapping[str, str], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call ``method`` (``list_aliases``, say) once as ``login``; answers and raises what a botocore client does."""
        operation = self._model.operation_model(self._names[method])
        request = self._signed(operation, login, arguments)
        connections = self._spare()
        try:
            answer = connections.send(request)
            told = {"headers": answer.headers, "status_code": answer.status_code, "body": answer.content}
        finally:
            connections.close()
            self._idle.append(connections)
        parsed: Mapping[str, Any] = self._parser.parse(told, operation.output_shape)
        if answer.status_code >= 300:
            raise ClientError(parsed, operation.name)  # type: ignore[arg-type]
        return parsed

    def _signed(self, operation: Any, login: Mapping[str, str], arguments: Mapping[str, Any]) -> Any:
        serialized = self._serializer.serialize_to_request(dict(arguments), operation)
        prepare_request_dict(serialized, endpoint_url=self._url, user_agent=AGENT)
        request = create_request_object(serialized)
        credentials = Credentials(login["access_key_id"], login["secret_access_key"], login.get("session_token"))
        SigV4Auth(credentials, self._model.signing_name, self._region).add_auth(request)
        return request.prepare()

    def _spare(self) -> Any:
        """What opens connections, for one call at a time; proxies and certificates as botocore has them."""
        with suppress(IndexError):
            return self._idle.pop()
        creator: Any = EndpointCreator(HierarchicalEmitter())  # its published types know neither bundles nor pairs
        made = creator.create_endpoint(
            self._model,
            self._region,
            self._url,
            verify=self._ca_bundle,
            timeout=(min(2, self._seconds), self._seconds),
            max_pool_connections=1,
        )
        return made.http_session


class Outsider:
    """A service as one login sees it: its operations are methods, as of a botocore client."""

    def __init__(self, door: Door, login: Mapping[str, str]) -> None:
        self._door = door
        self._login = login

    def __getattr__(self, method: str) -> Any:
        return lambda **arguments: self._door.call(method, self._login, arguments)
