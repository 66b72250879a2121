"""A time-stamp authority on this machine: ``openssl ts`` behind HTTP, with a root certificate of its own."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

_CONFIG = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamps]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
authorityKeyIdentifier = keyid
[tsa]
default_tsa = here
[here]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1
"""


class TimeStamps:
    """Stamps at ``url``; ``root`` is the certificate that leads to it.

    ``status`` answers with that HTTP status instead.  ``replayed`` answers every request with the first one's answer.
    ``digests`` are the imprints that it takes.
    """

    def __init__(self, folder: Path, *, digests: str = "sha256") -> None:
        self._folder = folder
        self.root = folder / "root.pem"
        self.status = 200
        self.replayed = False
        self.asked: list[bytes] = []
        self._first = b""
        self._lock = threading.Lock()
        (folder / "tsa.conf").write_text(_CONFIG.format(digests=digests), encoding="utf-8")
        self._certify()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tsr"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="tsa", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def stamp(self, request: bytes) -> bytes:
        """What ``openssl ts`` answers to a request (RFC 3161, 2.4)."""
        with self._lock, tempfile.TemporaryDirectory() as folder:
            self.asked.append(request)
            asked, answered = Path(folder) / "q", Path(folder) / "r"
            asked.write_bytes(request)
            self._openssl(
                "ts", "-reply", "-config", "tsa.conf", "-queryfile", str(asked), "-out", str(answered),
                "-signer", "tsa.pem", "-inkey", "tsa.key",
            )  # fmt: skip
            answer = answered.read_bytes()
            self._first = self._first or answer
            return self._first if self.replayed else answer

    def _certify(self) -> None:
        """A root, and a certificate that may do nothing but stamp."""
        new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "tsa.conf")
        self._openssl(
            *new, "-x509", "-days", "30", "-subj", "/CN=Root of stamps", "-extensions", "root",
            "-keyout", "root.key", "-out", "root.pem",
        )  # fmt: skip
        self._openssl(*new, "-subj", "/CN=Stamps", "-keyout", "tsa.key", "-out", "tsa.csr")
        self._openssl(
            "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
            "-days", "30", "-extfile", "tsa.conf", "-extensions", "stamps", "-out", "tsa.pem",
        )  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=30)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = self.rfile.read(int(self.headers["content-length"]))
                right = self.headers["content-type"] == "application/timestamp-query"
                status = authority.status if right else 415
                answer = authority.stamp(request) if status == 200 else b"busy"
                self.send_response(status)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(answer)))
                self.send_header("retry-after", "7")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        return Handler
