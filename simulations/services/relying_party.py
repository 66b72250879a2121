"""The relying party: ``POST /verify`` a Submission, get a Verdict.  It notes what it accepted in its signature log."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from cryptography.exceptions import InvalidSignature
from pydantic import ValidationError

from simulations.journals import SigningService, Submission, Verdict
from simulations.services.trust import Trust, signature_holds

_LARGEST_BODY = 4 << 20


class RelyingParty:
    """Decides on submissions, one at a time; fails closed when it cannot reach the certification authority."""

    def __init__(self, signing: SigningService, signer: Path) -> None:
        self._trust = Trust(signing, signer)
        self._log = signing.signature_log
        self._deciding = threading.Lock()

    def decide(self, submission: Submission) -> Verdict:
        """Accept or refuse, and note an accepted signature.

        Codes: bad-signature, unknown-key, untrusted-chain, revoked, after-cutoff, issuer-unreachable.
        """
        with self._deciding:
            try:
                content = base64.b64decode(submission.artifact, validate=True)
                signature = base64.b64decode(submission.signature, validate=True)
            except binascii.Error:
                return Verdict(accepted=False, code="bad-signature")
            digest = hashlib.sha256(content).hexdigest()
            code = self._fault(submission, content, signature, digest)
            if not code:
                self._note(submission, digest)
            return Verdict(accepted=not code, code=code)

    def _fault(self, submission: Submission, content: bytes, signature: bytes, digest: str) -> str:
        """Why the submission is refused; "" when it is not."""
        try:
            certificate = self._trust.certificate_for(submission.key_spki_sha256)
            if certificate is None:
                return "unknown-key"
            if not signature_holds(certificate, signature, content):
                return "bad-signature"
            if not self._trust.is_chained(certificate):
                return "untrusted-chain"
            if self._trust.is_revoked(certificate):
                return "revoked"
        except (httpx.HTTPError, InvalidSignature):
            return "issuer-unreachable"
        return "after-cutoff" if self._trust.is_cut_off(submission.key_spki_sha256, digest) else ""

    def _note(self, submission: Submission, digest: str) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "artifact_sha256": digest,
            "key": submission.key,
            "key_spki_sha256": submission.key_spki_sha256,
            "accepted": True,
        }
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def serve(party: RelyingParty, port: int) -> ThreadingHTTPServer:
    """Serve on 127.0.0.1 from a thread of its own; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        """One POST, one verdict."""

        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_POST(self) -> None:
            """Answer a submission."""
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != "/verify" or not 0 < length <= _LARGEST_BODY:
                self.send_error(404)
                return
            try:
                verdict = party.decide(Submission.model_validate_json(self.rfile.read(length)))
            except ValidationError:
                self.send_error(400)
                return
            body = verdict.model_dump_json().encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' signature
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    return server
