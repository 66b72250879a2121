"""Checks what a response would need: settings, estate, record, each connection, and the machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.checkpoints import signer_of
from flows.passkey_register import read_register
from flows.prefect_server import default_home
from flows.settings import Settings, load_settings
from flows.wiring import Wiring
from integrations.secrets import read_secret
from integrations.signers.signatures import fingerprint
from playbooks.errors import InvalidInput, KeyquellError, NotFound
from playbooks.estate import CredentialEntry, Estate
from playbooks.ports import Checks
from playbooks.refs import CertificateRef, DatasetRef, KeyRef
from playbooks.roster import Role

_APPROVERS = 2
_MISSED = {
    "detectors": "None: nothing is detected by itself; incidents must be declared.",
    "messengers": "None: nobody is told but those who look; messages stay in the record.",
}
_ONE = {
    "detectors": "detector",
    "messengers": "messenger",
    "pagers": "pager",
    "surfaces": "surface",
    "anchors": "anchor",
}
_NEEDED_BYTES = 500 * 1024 * 1024
_SOFTHSM = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is sound, and what to do or what was seen."""

    what: str
    ok: bool
    advice: str = ""


def examine(config: Path | None) -> list[Finding]:
    """Every check, the machine's first; a missing settings file ends it early."""
    findings = list(_machine())
    try:
        settings = load_settings(config)
    except KeyquellError as error:
        return [*findings, Finding("settings", ok=False, advice=str(error))]
    findings.append(Finding(f"settings {settings.source}", ok=True))
    try:
        with Wiring.open(settings) as wiring:
            findings += _response(wiring)
    except KeyquellError as error:
        findings.append(Finding(f"record {_place(settings)}", ok=False, advice=str(error)))
    return findings


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(f"Python {version}", ok=sys.version_info >= (3, 11), advice="3.11 to 3.13 are supported.")
    softhsm = any(place.exists() for place in _SOFTHSM)
    yield Finding("SoftHSM (for drills)", ok=softhsm, advice="" if softhsm else "apt-get install softhsm2")
    p11kit = shutil.which("p11-kit") is not None
    yield Finding("p11-kit (for drills)", ok=p11kit, advice="" if p11kit else "apt-get install p11-kit p11-kit-modules")
    home = default_home()
    existing = next(place for place in (home, *home.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    yield Finding(f"disk for {home}", ok=free > _NEEDED_BYTES, advice=f"{free // 2**20} MiB are free.")


def _response(wiring: Wiring) -> Iterator[Finding]:
    yield Finding(f"record {_place(wiring.settings)}", ok=True, advice=f"{len(wiring.records.incidents())} incidents.")
    try:
        estate = wiring.estate
    except KeyquellError as error:
        yield Finding(f"estate {wiring.settings.estate}", ok=False, advice=str(error))
        return
    yield Finding(
        f"estate {wiring.settings.estate}",
        ok=bool(estate.keys),
        advice=f"{len(estate.keys)} keys." if estate.keys else "It lists no key: keyquell inventory import FILE.",
    )
    for what, look in _looks(wiring, estate):
        try:
            yield Finding(what, ok=True, advice=look())
        except KeyquellError as error:
            yield Finding(what, ok=False, advice=str(error))


def _looks(wiring: Wiring, estate: Estate) -> Iterator[tuple[str, Callable[[], str]]]:
    """Every entry of the estate and every ear and mouth, with a look at it that changes nothing."""
    for key in estate.keys:
        yield str(key.ref), partial(_key, wiring, key.ref)
    for dataset in estate.datasets:
        yield str(dataset.ref), partial(_dataset, wiring, dataset.ref)
    for credential in estate.credentials:
        yield str(credential.ref), partial(_credential, wiring, credential)
    for certificate in estate.certificates:
        yield str(certificate.ref), partial(_certificate, wiring, certificate.ref)
    for consumer in estate.consumers:
        if consumer.channel:
            yield f"consumer {consumer.name}", partial(_consumer, wiring, consumer.name)
    yield "roster", partial(_roster, wiring)
    yield "web page", partial(_web, wiring)
    if wiring.settings.evidence.signer is not None:
        yield "evidence.signer", partial(_signer, wiring)
    for room in ("detectors", "messengers", "pagers", "surfaces", "siem", "traces", "anchors"):
        found = wiring.parts(room)
        if not found and room in _MISSED:
            yield room, partial(str, _MISSED[room])
        for name, opened in found.items():
            yield f"{_ONE.get(room, room)} {name}", partial(_part, opened)


def _key(wiring: Wiring, key: KeyRef) -> str:
    facts = wiring.keys(key).describe(key)
    return f"{facts.state.value}; can {', '.join(sorted(facts.capabilities))}"


def _dataset(wiring: Wiring, dataset: DatasetRef) -> str:
    wiring.data(dataset).shards(dataset, count=1)
    return "readable"


def _credential(wiring: Wiring, entry: CredentialEntry) -> str:
    wiring.credentials(entry.ref)
    if not entry.secret:
        return "No secret is given, so nobody can prove that it is dead."
    read_secret(entry.secret)
    return "its end can be probed"


def _certificate(wiring: Wiring, certificate: CertificateRef) -> str:
    wiring.certificates(certificate).certificate(certificate)
    return "readable"


def _signer(wiring: Wiring) -> str:
    signer = signer_of(wiring)
    return f"{signer.algorithm}, SHA-256 of the public key {fingerprint(signer.public_key)}"


def _consumer(wiring: Wiring, name: str) -> str:
    try:
        told = wiring.consumer(name).published(name)
    except NotFound:
        return "was told nothing so far"
    return f"was told {len(told)} settings"


def _roster(wiring: Wiring) -> str:
    """Could two people approve what cannot be taken back?"""
    roster = wiring.roster
    if roster is None:
        return "None: whoever may run this command may approve, under any name. See docs/approvals.md."
    now = wiring.clock()
    enrolled = {each.person for each in read_register(wiring).passkeys.values()}
    able = {role: {one.name for one in roster.holders(role, now)} for role in (Role.APPROVE, Role.RETIRE)}
    for role, names in able.items():
        if len(names & enrolled) < _APPROVERS:
            without = sorted(names - enrolled)
            raise InvalidInput(
                f"{len(names & enrolled)} of {len(names)} people with the role {role.value} have a passkey; what cannot"
                f" be taken back needs {_APPROVERS} who are not the requester.",
                hint=f"Run `keyquell roster enrol {without[0]}`." if without else "Give more people that role.",
            )
    return f"{len(roster.people)} people, {len(enrolled)} with a passkey"


def _web(wiring: Wiring) -> str:
    web = wiring.settings.web
    if not web.url.startswith("https:") and web.host not in ("localhost", "127.0.0.1"):
        raise InvalidInput(
            f"web.url {web.url} is not https: browsers give no passkey to it.",
            hint="Put a reverse proxy with a certificate before it and write its https address.",
        )
    return f"{web.url}, bound to {web.address}:{web.port}"


def _part(opened: Callable[[], object]) -> str:
    """Open one ear or mouth, and let it look for itself where it can."""
    found = opened()
    return found.check() if isinstance(found, Checks) else "configured"


def _place(settings: Settings) -> str:
    """The record's place without a password that its URL may hold."""
    return settings.records_url.rpartition("@")[2]
