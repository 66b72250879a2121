"""What stands beside the evidence for whoever has no keyquell: which file is what, and how to check it by hand."""

from __future__ import annotations

README = "readme.txt"

_TEXT = """\
Evidence pack of one case, made by keyquell.

Check everything at once, offline:      keyquell evidence verify PACK --trust FINGERPRINT
The fingerprint must reach you another way than this file: from the installation's owner, or from an anchor.

manifest.json      every file with its size and SHA-256, and the public key of who signed
manifest.sig       signature over the bytes of manifest.json, base64
record.ndjson      the record: one event a line, each with the hash of the one before
passkeys.ndjson    enrolment and removal of passkeys: the public keys that approvals are checked with
plans.json, approvals.json, probes.json, censuses.json, messages.json, deadlines.json, checkpoints.json
                   extracts of the record; `event` is the number of the event
controls.json      which events answer which control of which standard, and what they do not show
checkpoints/       event-N.txt what was signed, event-N.sig signature, event-N.pem public key,
                   event-N.sealed text with signature, which anchors hold; event-M.tsr time-stamp over such a text
report.html, review.html
                   the same for people to read

By hand, with openssl alone (3.0 or later):
  openssl pkey -pubin -in checkpoints/event-N.pem -outform DER | sha256sum
  openssl pkeyutl -verify -pubin -inkey checkpoints/event-N.pem -rawin -in checkpoints/event-N.txt \\
    -sigfile checkpoints/event-N.sig
  openssl ts -verify -data checkpoints/event-N.sealed -in checkpoints/event-M.tsr -CAfile ROOTS.pem

Hash of an event: SHA-256 over the JSON array [incident, seq, at, kind, body, prev], keys sorted, no spaces, UTF-8.
"""


def readme() -> bytes:
    """The file's content."""
    return _TEXT.encode()
