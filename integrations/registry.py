"""Which class speaks to what: URI scheme or connection type → ``module:Class``, imported on first use.

Third parties add entries by the entry-point groups ``keyquell.ROOM`` (``keyquell.keys``, ``keyquell.detectors`` …); the
name of the entry point is the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from playbooks.errors import InvalidInput
from playbooks.ports import Clock

ADAPTERS: dict[str, dict[str, str]] = {
    "keys": {
        "aws-kms": "integrations.keys.aws_kms:AwsKms",
        "openbao": "integrations.keys.openbao:OpenBaoTransit",
        "pkcs11": "integrations.keys.pkcs11:Pkcs11Token",
    },
    "credentials": {
        "aws-iam": "integrations.credentials.aws_iam:AwsIam",
        "openbao-token": "integrations.credentials.openbao_token:OpenBaoTokens",
        "pkcs11-pin": "integrations.credentials.pkcs11_pin:Pkcs11Pin",
        "postgres-role": "integrations.credentials.postgres_role:PostgresRoles",
    },
    "data": {
        "files": "integrations.data.files:FileStore",
        "postgres": "integrations.data.postgres:PostgresColumns",
    },
    "certificates": {"openbao-pki": "integrations.certificates.openbao_pki:OpenBaoPki"},
    "consumers": {"config-dir": "integrations.consumers.config_dir:ConfigDir"},
    "artifacts": {"config-dir": "integrations.consumers.signed_artifacts:SignedArtifacts"},
    "detectors": {
        "trufflehog": "integrations.detectors.trufflehog:TruffleHog",
        "cloudtrail": "integrations.detectors.cloudtrail:CloudTrail",
        "openbao-audit": "integrations.detectors.openbao_audit:OpenBaoAudit",
        "signature-log": "integrations.detectors.signature_log:SignatureLog",
        "github": "integrations.detectors.github:GitHub",
        "github-partner": "integrations.detectors.github_partner:GitHubPartner",
        "aws-events": "integrations.detectors.aws_events:AwsEvents",
        "gitleaks": "integrations.detectors.gitleaks:Gitleaks",
        "sarif": "integrations.detectors.sarif:Sarif",
        "certificate-transparency": "integrations.detectors.certificate_transparency:CertificateTransparency",
        "honeytoken": "integrations.detectors.honeytoken:Honeytoken",
        "pagerduty": "integrations.detectors.pagerduty:PagerDutyAlerts",
        "json": "integrations.detectors.json_mapping:JsonMapping",
        "key-usage": "integrations.detectors.key_usage:KeyUsage",
    },
    "surfaces": {"slack": "integrations.slack.board:SlackBoard"},
    "pagers": {"pagerduty": "integrations.paging.pagerduty:PagerDuty"},
    "siem": {
        "file": "integrations.siem.file:LinesFile",
        "syslog": "integrations.siem.syslog:Syslog",
        "webhook": "integrations.siem.webhook:Webhook",
    },
    "traces": {"otlp": "integrations.traces.otlp:Otlp"},
    "anchors": {
        "pagerduty": "integrations.anchors.pagerduty:PagerDutyNote",
        "rfc3161": "integrations.anchors.time_stamp:TimeStampAuthority",
        "s3-object-lock": "integrations.anchors.s3_object_lock:S3ObjectLock",
        "slack": "integrations.slack.checkpoints:SlackCheckpoints",
    },
    "messengers": {
        "apprise": "integrations.messengers.apprise:Apprise",
        "console": "integrations.messengers.console:Console",
        "file": "integrations.messengers.file:Folder",
    },
}


def open_adapter(room: str, scheme: str, *, name: str, options: Mapping[str, Any], clock: Clock) -> Any:
    """Open the adapter of a scheme with the options of the connection ``name``.

    Every adapter has ``open(name, options, *, clock)``, validates its options and names the field that is wrong.
    Raises InvalidInput for an unknown scheme, bad options, or an optional package that is not installed.
    """
    target = ADAPTERS[room].get(scheme)
    if target is None:
        found = [entry.value for entry in entry_points(group=f"keyquell.{room}") if entry.name == scheme]
        if not found:
            raise InvalidInput(
                f"no adapter in {room} is called {scheme!r}", hint=f"Known: {', '.join(sorted(ADAPTERS[room]))}."
            )
        target = found[0]
    module_name, _, class_name = target.partition(":")
    try:
        adapter = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{room}/{scheme} needs the package {error.name!r}, which is not installed",
            hint="Run: pip install 'keyquell[all]'.",
        ) from error
    return adapter.open(name, options, clock=clock)


def key_schemes(connection_type: str) -> tuple[str, ...]:
    """The key schemes that a connection of this type serves; empty when it holds no keys."""
    return {"aws": ("aws-kms",), "openbao": ("openbao",), "pkcs11": ("pkcs11",)}.get(connection_type, ())
