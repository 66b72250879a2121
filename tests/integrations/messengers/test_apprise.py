"""Messages by Apprise, to a mail server and a web server: once, marked, only to whom they may go, no secret told."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes.mail_server import MailServer

from integrations.messengers.apprise import Apprise
from integrations.registry import open_adapter
from playbooks.errors import BackendError, InvalidInput, Refused, Throttled, Unavailable, Unreachable
from playbooks.ports import Delivers, Message

CANARY = "canary-zq9x"


def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Site:
    """A web server that takes JSON; ``statuses`` are answered first, ``location`` goes with a 3xx."""

    url: str = ""
    came: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str = ""
    silent: threading.Event | None = None


def served(site: Site) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if site.silent is not None:
                site.silent.wait(20)
            status = site.statuses.pop(0) if site.statuses else 200
            if status == 200:
                site.came.append(body)
            self.send_response(status)
            if site.location:
                self.send_header("location", site.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, *_: Any) -> None:
            """A client that went away is no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    site.url = f"json://localhost:{server.server_address[1]}/{CANARY}/"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = served(site)
    yield site
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def opened(tmp_path: Path, *urls: str, **options: Any) -> Apprise:
    references = []
    for index, url in enumerate(urls):
        (tmp_path / f"url{index}").write_text(f"{url}\n")
        references.append(f"file:{tmp_path}/url{index}")
    return Apprise.open("all", {"urls": references, **options}, clock=now)


def mailto(mail: MailServer, query: str = "to=asha@example.com") -> str:
    return f"mailto://localhost:{mail.port}?from=kq@example.com&smtp=localhost&mode=insecure&{query}"


def message(message_id: str = "m-1", **changes: Any) -> Message:
    fields = {"audience": "security", "subject": "A key may be out", "body": "one\ntwo", "exercise": False}
    return Message(id=message_id, **{**fields, **changes})


def test_it_opens_by_the_registry_and_delivers(tmp_path: Path, site: Site) -> None:
    """It has the port of a messenger."""
    (tmp_path / "url").write_text(site.url)
    adapter = open_adapter("messengers", "apprise", name="all", options={"urls": [f"file:{tmp_path}/url"]}, clock=now)
    assert isinstance(adapter, Delivers)
    assert repr(adapter) == "Apprise('messengers.all')"
    adapter.close()


def test_a_message_arrives_with_its_id(tmp_path: Path, site: Site) -> None:
    """So that people see when one came twice."""
    opened(tmp_path, site.url).deliver(message())
    (came,) = site.came
    assert came["title"] == "A key may be out"
    assert came["message"] == "one\ntwo\n\nref: m-1"


def test_a_message_arrives_as_mail(tmp_path: Path, mail: MailServer) -> None:
    """At every recipient, with what it quotes shown as text."""
    body = "<b>not bold</b> & <script>alert(1)</script>"
    opened(tmp_path, mailto(mail, "to=asha@example.com,ben@example.com")).deliver(message(body=body))
    assert [recipients for recipients, _ in mail.mails] == [["asha@example.com"], ["ben@example.com"]]
    sent = mail.mails[0][1]
    assert sent["subject"] == "A key may be out"
    html = sent.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()


def test_a_subject_cannot_add_headers(tmp_path: Path, mail: MailServer) -> None:
    """What a detector quotes is the attacker's to choose."""
    opened(tmp_path, mailto(mail)).deliver(message(subject="key out\r\nBcc: eve@evil.example\x00"))
    (recipients, sent) = mail.mails[0]
    assert recipients == ["asha@example.com"]
    assert sent["bcc"] is None
    assert sent["subject"] == "key out Bcc: eve@evil.example"


def test_it_remembers_nothing(tmp_path: Path, site: Site) -> None:
    """What was taken is in the record, where a restart finds it."""
    channel = opened(tmp_path, site.url)
    for each in ("m-1", "m-2", "m-1"):
        channel.deliver(message(each))
    assert [each["message"].rpartition(" ")[2] for each in site.came] == ["m-1", "m-2", "m-1"]
    assert channel.apart() == {}


def test_when_one_address_fails_the_others_are_tried_all_the_same(tmp_path: Path, site: Site) -> None:
    """The error names the address by its place, never by its URL."""
    other = Site(statuses=[500])
    server = served(other)
    channel = opened(tmp_path, other.url, site.url)
    with pytest.raises(Unreachable, match=r"messengers\.all: urls\.0 did not take the message \(HTTP 500\)"):
        channel.deliver(message())
    assert (len(other.came), len(site.came)) == (0, 1)
    server.shutdown()
    server.server_close()


def test_each_of_several_addresses_is_offered_apart(tmp_path: Path, site: Site) -> None:
    """By names that are the same for the next process, wherever they stand in the list; the rules are the channel's."""
    other = f"{site.url}other/"
    first = opened(tmp_path, site.url, other, audiences=["security"])
    again = Apprise.open("all", {"urls": [f"file:{tmp_path}/url1", f"file:{tmp_path}/url0"]}, clock=now)
    assert list(first.apart()) == list(reversed(again.apart()))
    assert CANARY not in "".join(first.apart())
    one, _ = first.apart().values()
    one.deliver(message())
    assert len(site.came) == 1
    with pytest.raises(Unavailable, match="does not carry"):
        one.deliver(message(audience="customers"))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Refused), (403, Refused), (404, Unavailable), (429, Throttled), (500, Unreachable), (503, Unreachable)],
)
def test_failures_of_a_web_hook_are_told_apart(
    tmp_path: Path, site: Site, status: int, error: type[BackendError]
) -> None:
    """By the status, in one attempt."""
    site.statuses = [status]
    channel = opened(tmp_path, site.url + "?retry=3")
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        channel.deliver(message())
    assert caught.value.code == f"HTTP {status}"
    assert site.came == []


@pytest.mark.parametrize(
    ("refusal", "error"), [("550 5.1.1 no such user", Unavailable), ("451 4.3.0 later", Unreachable)]
)
def test_failures_of_a_mail_server_are_told_apart(
    tmp_path: Path, mail: MailServer, refusal: str, error: type[BackendError]
) -> None:
    """Between never and later."""
    mail.refusal = refusal
    with pytest.raises(error, match=f"SMTP {refusal[:3]}"):
        opened(tmp_path, mailto(mail)).deliver(message())


def test_a_wrong_mail_password_is_refused_and_told_nowhere(
    tmp_path: Path, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the password nor the URL stands in the error or a log, at any level."""
    caplog.set_level(1)
    mail.login = ("kq", "right")
    url = mailto(mail).replace("mailto://", f"mailto://kq:{CANARY}@")
    with pytest.raises(Refused, match="SMTP 535") as caught:
        opened(tmp_path, url).deliver(message())
    told = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r} {caplog.text}"
    assert CANARY not in told
    mail.login = ("kq", CANARY)
    opened(tmp_path, url).deliver(message())
    assert len(mail.mails) == 1


@pytest.mark.parametrize("statuses", [[], [500], [429]])
def test_the_secret_of_a_url_is_in_no_log(
    tmp_path: Path, site: Site, statuses: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Apprise, requests and urllib3 would write it, at debug level; other loggers are left alone."""
    caplog.set_level(1)
    site.statuses = statuses
    with contextlib.suppress(BackendError):
        opened(tmp_path, site.url).deliver(message())
    logging.getLogger("urllib3.connectionpool").warning("somebody else's line")
    assert CANARY not in caplog.text
    assert "somebody else's line" in caplog.text


def test_a_server_that_is_gone_is_unreachable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To be tried again, with nothing said of where."""
    caplog.set_level(1)
    channel = opened(tmp_path, f"json://localhost:1/{CANARY}", f"mailto://kq:{CANARY}@localhost:1?smtp=localhost")
    with pytest.raises(Unreachable, match="no connection") as caught:
        channel.deliver(message())
    assert CANARY not in f"{caught.value!r} {caplog.text}"


def test_a_silent_server_is_given_up(tmp_path: Path, site: Site) -> None:
    """By the channel itself, within its own bounds."""
    site.silent = threading.Event()
    before = time.monotonic()
    with pytest.raises(Unreachable):
        opened(tmp_path, site.url).deliver(message())
    site.silent.set()
    assert time.monotonic() - before < 15


@pytest.mark.parametrize("query", ["", "?redirect=yes"])
def test_a_redirect_is_not_followed(tmp_path: Path, site: Site, query: str) -> None:
    """It could lead out of the company."""
    other = Site()
    server = served(other)
    site.statuses, site.location = [307], other.url.replace("json://", "http://")
    with pytest.raises(Unavailable, match="HTTP 307"):
        opened(tmp_path, site.url + query).deliver(message())
    assert other.came == []
    server.shutdown()
    server.server_close()


def test_an_exercise_is_marked_at_the_beginning(tmp_path: Path, site: Site, mail: MailServer) -> None:
    """Of title and body, in mail too."""
    channel = opened(tmp_path, site.url, mailto(mail), inside=["localhost", "example.com"])
    channel.deliver(message(exercise=True))
    assert site.came[0]["title"] == "[EXERCISE] A key may be out"
    assert site.came[0]["message"].startswith("EXERCISE")
    assert mail.mails[0][1]["subject"] == "[EXERCISE] A key may be out"


@pytest.mark.parametrize(
    ("url", "inside", "goes"),
    [
        ("json://localhost/x", [], False),
        ("json://localhost/x", ["localhost"], True),
        ("json://localhost/x", ["json://"], True),
        ("json://hooks.example.com/x", ["example.com"], True),
        ("json://evilexample.com/x", ["example.com"], False),
        ("mailto://u:p@example.com?to=a@example.com", ["example.com"], True),
        ("mailto://u:p@example.com?to=a@example.com", ["mailto://"], False),
        ("mailto://u:p@example.com?to=a@example.com,b@evil.org", ["example.com"], False),
        ("mailto://u:p@example.com?to=a@example.com&cc=b@evil.org", ["example.com"], False),
        ("mailto://u:p@example.com?to=a@example.com&bcc=b@evil.org", ["example.com"], False),
        ("mailto://u:p@example.com?to=a@EXAMPLE.com.evil.org", ["example.com"], False),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", ["slack://"], True),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", ["hooks.slack.com"], False),
        ("ntfy://example.com", ["example.com"], False),
    ],
)
def test_an_exercise_stays_inside(tmp_path: Path, url: str, inside: list[str], goes: bool) -> None:
    """Whatever its need to know says: recipients count by their domain, services by their scheme."""
    channel = opened(tmp_path, url, inside=inside, need_to_know=["outside"])
    drill = message(exercise=True, need_to_know="outside")
    if goes:
        channel._admit(drill)
        return
    with pytest.raises(Unavailable, match="exercise messages never go there") as caught:
        channel.deliver(drill)
    assert caught.value.code == "exercise"


def test_one_outside_address_keeps_an_exercise_from_all(tmp_path: Path, site: Site, mail: MailServer) -> None:
    """Nothing is sent, not even to those inside."""
    channel = opened(tmp_path, site.url, mailto(mail, "to=press@news.example"), inside=["localhost", "example.com"])
    with pytest.raises(Unavailable):
        channel.deliver(message(exercise=True))
    assert (site.came, mail.mails) == ([], [])


def test_a_channel_carries_what_it_is_marked_for(tmp_path: Path, site: Site) -> None:
    """Audience and need to know; a channel that is not marked for outside never carries such a message."""
    channel = opened(tmp_path, site.url, audiences=["security"])
    for odd, code in (({"audience": "press"}, "audience"), ({"need_to_know": "outside"}, "need-to-know")):
        with pytest.raises(Unavailable) as caught:
            channel.deliver(message(**odd))
        assert caught.value.code == code
    opened(tmp_path, site.url, need_to_know=["outside"]).deliver(message(need_to_know="outside"))
    with pytest.raises(Unavailable, match="what responders may read"):
        opened(tmp_path, site.url, need_to_know=["company"]).deliver(message())
    assert len(site.came) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"urls": []}, "urls"),
        ({"urls": [f"json://{CANARY}"]}, "urls"),
        ({"urls": ["env:KEYQUELL_NO_SUCH_VARIABLE"]}, "urls.0"),
        ({"urls": ["file:/etc/hostname"]}, "urls.0"),
        ({"urls": ["file:/etc/hostname"], "need_to_know": ["everybody"]}, "need_to_know.0"),
        ({"urls": ["file:/etc/hostname"], "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(options: dict[str, Any], field: str) -> None:
    """Also a URL that Apprise does not understand."""
    with pytest.raises(InvalidInput, match=rf"messengers\.all: {field}") as caught:
        Apprise.open("all", options, clock=now)
    assert CANARY not in str(caught.value)


def test_a_url_that_is_none_is_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may be a whole secret, pasted into the wrong file."""
    caplog.set_level(1)
    with pytest.raises(InvalidInput) as caught:
        opened(tmp_path, f"slack://{CANARY}")
    assert CANARY not in f"{caught.value!r} {caplog.text}"


def test_the_check_names_addresses_by_scheme_and_host_alone(tmp_path: Path, site: Site, mail: MailServer) -> None:
    """A chat service has its secret where another has its host."""
    mailing = f"mailto://asha:{CANARY}@localhost:{mail.port}?from=kq@example.com&to=ben@example.com"
    said = opened(tmp_path, site.url, mailing, f"discord://{CANARY}/{CANARY}").check()
    assert said.startswith("json://localhost, mailto://localhost, discord://: not marked as inside")
    assert CANARY not in said
    assert (site.came, mail.mails) == ([], [])
    assert "inside the company" in opened(tmp_path, site.url, inside=["localhost"]).check()
