"""From leaked text to what it is: the kind of exposure and its fingerprints; the text itself is kept nowhere.

``classify`` takes what a scanner calls a secret.  ``recognise`` and ``redact`` take what a person wrote, and find the
secrets in it: PEM private keys, AWS access keys, OpenBao and Vault tokens, the tokens of well-known vendors, logins in
addresses, ``password: …`` and the like, key bytes in hexadecimal or base64, and other text that looks random.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from integrations.fingerprints import key_check_values, keyed, spki_sha256
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint

Finding = tuple[ExposureKind, tuple[Fingerprint, ...]]
"""What leaked text is, and by what the estate knows it."""

BLANK = "[redacted]"
"""What ``redact`` writes in the place of a secret."""

_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b")
_VAULT_TOKEN = re.compile(r"(?<![\w.-])(?:hv[sbr]\.|[sbr]\.)[A-Za-z0-9_-]{20,}")
_PRIVATE = (
    r"-----BEGIN (?P<label>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----(?P<body>.*?)(?:-----END (?P=label)-----|\Z)"
)
_PRIVATE_KEY = re.compile(_PRIVATE, re.DOTALL)
_VENDOR_TOKEN = re.compile(
    r"(?<![\w-])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl[a-z]{1,4}-[\w-]{16,}|xox[a-z]-[\w-]{10,}"
    r"|xapp-[\w-]{10,}|[sprk]{2}_(?:live|test)_\w{16,}|sk-[\w-]{20,}|AIza[\w-]{30,}|npm_\w{30,}|pypi-[\w-]{30,}"
    r"|do[opr]_v1_\w{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_LOGIN = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]*:(?P<secret>[^\s/@]+)@", re.IGNORECASE)
_NAMED = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|pin|credential"
    r"|(?:api|access|secret|private|encryption|master|signing|account|shared)[ _-]?key)"
    r"(?:[\"'`*]*\s{0,3}[:=]\s{0,3}[\"'`*]*(?P<secret>[^\s\"'`<>|,;]{3,})"
    r"|\s(?:(?:is|was|=)\s)?[\"'`*]*(?P<said>(?=[^\s\"'`]*\d)[^\s\"'`<>|,;]{4,}))",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/=-])")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s<>|\"']+", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{48}|[0-9a-fA-F]{64})")
_ONE_WORD = re.compile(r"\s*[\"'`]*(?P<secret>[^\s\"'`]{4,256})[\"'`]*\s*")
_NAME = re.compile(r"[A-Z]+-[0-9]+|(?:AKIA|ASIA)[A-Z0-9]{12,124}|[a-z][a-z0-9+.-]*:\S+")
_RANDOM_BITS, _KEY_BITS, _KEY_DIGITS = 3.5, 3.8, 8


def classify(secret: str, *, key: bytes | None, beside: Iterable[str] = ()) -> Finding:
    """What one secret is, by its form.

    ``beside`` is other text of the same finding, in which an access key's id may stand.  Without the installation's
    ``key``, only what has a fingerprint of another kind is recognised.
    """
    secret = secret.strip()
    private = [found[0] for found in _PRIVATE_KEY.finditer(secret)]
    if private:
        return _private_keys(private, secret, key)
    ids = dict.fromkeys(found for text in (*beside, secret) for found in _ACCESS_KEY.findall(text))
    if ids:
        return ExposureKind.CREDENTIAL, tuple(Fingerprint(kind="access-key-id", value=each) for each in ids)
    if _VAULT_TOKEN.fullmatch(secret) or _VENDOR_TOKEN.fullmatch(secret):
        return ExposureKind.CREDENTIAL, (token_sha256(secret), *_keyed(secret, key))
    check_values = key_check_values(_key_bytes(secret))
    if check_values:
        return ExposureKind.KEY_MATERIAL, (*check_values, *_keyed(secret, key))
    return ExposureKind.CREDENTIAL, _keyed(secret, key)


def token_sha256(token: str) -> Fingerprint:
    """SHA-256 of a machine-made token; never for what a person may have chosen, because that can be guessed."""
    return Fingerprint(kind="token-sha256", value=hashlib.sha256(token.encode()).hexdigest())


def recognise(text: str, *, key: bytes | None) -> list[Finding]:
    """Every secret in a free text, in the order of the text, each once; empty when there is none.

    A text of one word is taken as a secret whatever it looks like.  Expects the text as a person wrote it, not as HTML.
    """
    findings = (classify(each, key=key) for each in secrets_in(text))
    return list(dict.fromkeys(each for each in findings if each[1]))


def secrets_in(text: str) -> list[str]:
    """The secrets themselves, and the ids of access keys: to hide them elsewhere, never to keep or to show them."""
    places = {*_places(text), *(found.span() for found in _ACCESS_KEY.finditer(text))}
    word = _ONE_WORD.fullmatch(text)
    if word and not places:
        places.add(word.span("secret"))
    return [text[start:end] for start, end in sorted(places)]


def redact(text: str) -> str:
    """What a person wrote, with whatever looks like a secret blanked; the ids of access keys stay, they are no secret.

    A private key without its end hides all that follows.  A text of one word with a digit is blanked whole, unless it
    looks like a URI or a ticket's name.
    """
    word = _ONE_WORD.fullmatch(text)
    if word and re.search("[0-9]", word["secret"]) and not _NAME.fullmatch(word["secret"]):
        return text[: word.start("secret")] + BLANK + text[word.end("secret") :]
    return masked(text)


def masked(text: str) -> str:
    """The same for a field of a document, where one word is a name and stays."""
    parts, at = [], 0
    for start, end in _places(text):
        parts += [text[at:start], BLANK]
        at = end
    return "".join([*parts, text[at:]])


def _places(text: str) -> list[tuple[int, int]]:
    """Where secrets stand, in order and apart; the surer pattern wins where two overlap."""
    places, taken = [], bytearray(len(text))
    for start, end in _candidates(text):
        if start < end and not any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
            places.append((start, end))
    return sorted(places)


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_PRIVATE_KEY, _VAULT_TOKEN, _VENDOR_TOKEN):
        yield from (found.span() for found in pattern.finditer(text))
    yield from (found.span("secret") for found in _LOGIN.finditer(text))
    for found in _NAMED.finditer(text):
        span = found.span("secret" if found["secret"] else "said")
        if not _ACCESS_KEY.fullmatch(text, *span) and "://" not in text[slice(*span)]:
            yield span
    addresses = [found.span() for found in _ADDRESS.finditer(text)]
    for found in _RANDOM.finditer(text):
        inside = any(start <= found.start() and found.end() <= end for start, end in addresses)
        yield from (span for span in _runs(found, apart=inside) if _looks_random(text[slice(*span)]))


def _runs(found: re.Match[str], *, apart: bool) -> Iterator[tuple[int, int]]:
    """The match whole, or by the parts of a path: an address is not a secret because it is long."""
    if not apart:
        yield found.span()
        return
    at = found.start()
    for part in found[0].split("/"):
        yield at, at + len(part)
        at += len(part) + 1


def _looks_random(text: str) -> bool:
    if len(text) < 20 or _ACCESS_KEY.fullmatch(text):
        return False
    if _key_bytes(text):
        return True
    return all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")) and _entropy(text) >= _RANDOM_BITS


def _entropy(text: str) -> float:
    """Bits a character, by the text's own frequencies."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _key_bytes(text: str) -> bytes:
    """The bytes of an AES key in hexadecimal or base64; empty for other text.

    Only what cannot be a person's password: the check value of a password would let it be guessed.
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text) if len(set(text.lower())) >= _KEY_DIGITS else b""
    if len(text) not in (24, 32, 44) or _entropy(text) < _KEY_BITS or not re.search("[A-Z]", text):
        return b""
    try:
        material = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        return b""
    return material if len(material) in (16, 24, 32) else b""


def _private_keys(pems: list[str], secret: str, key: bytes | None) -> Finding:
    public = []
    for pem in pems:
        try:
            public.append(spki_sha256(_straightened(pem)))
        except InvalidInput:
            continue
    if public:
        return ExposureKind.SIGNING_KEY, tuple(dict.fromkeys(public))
    return ExposureKind.KEY_MATERIAL, _keyed(secret, key)


def _straightened(pem: str) -> str:
    """The PEM with its line breaks where they belong: JSON, settings files and chats lose them."""
    found = _PRIVATE_KEY.fullmatch(pem)
    if found is None or ":" in found["body"]:
        return pem
    body = re.sub(r"\\[nrt]|[\s>]", "", found["body"])
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {found['label']}-----", *lines, f"-----END {found['label']}-----", ""])


def _keyed(secret: str, key: bytes | None) -> tuple[Fingerprint, ...]:
    return (keyed(secret, key),) if key is not None else ()
