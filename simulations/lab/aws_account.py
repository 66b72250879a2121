"""An AWS account of the lab: users, roles and keys set up as root on an emulator at a loopback endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from integrations.secrets import write_secret

REGION = "us-east-1"
Policy = Mapping[str, Any]

RECOVERY_POLICY: Policy = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["kms:*", "iam:*", "sts:*", "cloudtrail:LookupEvents"],
            "Resource": "*",
        }
    ],
}
"""What the recovery identity of a lab may do."""


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    """A policy that allows these actions on one resource."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


@dataclass(frozen=True, slots=True)
class LabUser:
    """An IAM user with one access key; ``credential`` is the ``file:`` reference to its secret (JSON, mode 0600)."""

    name: str
    arn: str
    access_key_id: str
    credential: str


class AwsAccount:
    """Sets an emulated account up as root.

    ``endpoint_url`` is the emulator's address, ``directory`` takes the users' secret files.
    """

    def __init__(self, endpoint_url: str, directory: Path) -> None:
        self.endpoint_url = endpoint_url
        self.directory = directory
        self._clients: dict[str, Any] = {}

    def root_options(self) -> dict[str, str]:
        """Keyword arguments of ``boto3.client`` for the account's root."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }

    def client(self, service: str) -> Any:
        """A root client of a service."""
        if service not in self._clients:
            config = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
            session: Any = boto3.session.Session()  # its overloads want the service as a literal
            self._clients[service] = session.client(service, config=config, **self.root_options())
        return self._clients[service]

    def create_user(self, name: str, policy: Policy | None = None) -> LabUser:
        """Make a user with an access key and, when given, an inline policy."""
        iam = self.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="lab", PolicyDocument=json.dumps(policy))
        issued = iam.create_access_key(UserName=name)["AccessKey"]
        credential = f"file:{self.directory / f'{name}.aws.json'}"
        write_secret(
            credential,
            {"access_key_id": issued["AccessKeyId"], "secret_access_key": issued["SecretAccessKey"]},
        )
        return LabUser(name, arn, issued["AccessKeyId"], credential)

    def create_role(self, name: str, trusted: str, policy: Policy) -> str:
        """Make a role that the principal ``trusted`` (an ARN) may assume; returns its ARN."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}],
        }
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="lab", PolicyDocument=json.dumps(policy))
        return str(arn)

    def create_key(
        self, description: str, alias: str = "", policy: Policy | None = None, *, spec: str = "SYMMETRIC_DEFAULT"
    ) -> str:
        """Make a KMS key, with ``alias/ALIAS`` when given; returns its id."""
        kms = self.client("kms")
        options: dict[str, Any] = {"Policy": json.dumps(policy)} if policy is not None else {}
        usage = "ENCRYPT_DECRYPT" if spec == "SYMMETRIC_DEFAULT" else "SIGN_VERIFY"
        made = kms.create_key(Description=description, KeySpec=spec, KeyUsage=usage, **options)
        key_id = str(made["KeyMetadata"]["KeyId"])
        if alias:
            kms.create_alias(AliasName=f"alias/{alias}", TargetKeyId=key_id)
        return key_id

    def connection_options(self, credential: str, principal: str) -> dict[str, Any]:
        """Options of a ``type: aws`` connection that logs in with ``credential`` as ``principal`` (an ARN)."""
        return {
            "type": "aws",
            "region": REGION,
            "endpoint_url": self.endpoint_url,
            "credential": credential,
            "recovery_principal": principal,
        }

    def close(self) -> None:
        """Close the root clients; the emulator itself belongs to the lab's processes."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
