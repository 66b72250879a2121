"""The console and the folder: each message once, drills marked, nothing broken by what a message quotes."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.messengers.console import Console
from integrations.messengers.file import Folder
from integrations.registry import open_adapter
from playbooks.errors import InvalidInput, Unreachable
from playbooks.ports import Delivers, Message


def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(message_id: str = "m-1", *, exercise: bool = False, body: str = "one\ntwo") -> Message:
    return Message(message_id, "security", "A key may be out", body, exercise)


def test_the_console_shows_a_message_once() -> None:
    """With time, audience, subject and indented body."""
    stream = io.StringIO()
    console = Console(stream, clock=now)
    console.deliver(message())
    console.deliver(message())
    assert stream.getvalue() == "2026-03-01T12:00:00.000000Z to security: A key may be out\n    one\n    two\n"


def test_the_console_shows_control_characters_as_question_marks() -> None:
    """What a detector quotes cannot steer the terminal."""
    stream = io.StringIO()
    Console(stream, clock=now).deliver(message(body="\x1b[2Jgone\r\x07"))
    assert "\x1b" not in stream.getvalue()
    assert "?[2Jgone" in stream.getvalue()


def test_drill_messages_are_marked(tmp_path: Path) -> None:
    """Nobody takes a drill for the real thing."""
    stream = io.StringIO()
    Console(stream, clock=now).deliver(message(exercise=True))
    assert "[EXERCISE] A key may be out" in stream.getvalue()
    Folder(tmp_path, clock=now).deliver(message(exercise=True))
    written = json.loads((tmp_path / "m-1.json").read_text())
    assert (written["exercise"], written["subject"]) == (True, "[EXERCISE] A key may be out")


def test_the_folder_keeps_the_first_delivery(tmp_path: Path) -> None:
    """The same id again changes nothing, and no half-written file is left."""
    folder = Folder(tmp_path, clock=now)
    folder.deliver(message())
    folder.deliver(message(body="other"))
    assert [each.name for each in tmp_path.iterdir()] == ["m-1.json"]
    assert json.loads((tmp_path / "m-1.json").read_text()) == {
        "id": "m-1",
        "audience": "security",
        "subject": "A key may be out",
        "body": "one\ntwo",
        "exercise": False,
        "delivered_at": "2026-03-01T12:00:00.000000Z",
    }


def test_the_folder_takes_one_of_many_racing_deliveries(tmp_path: Path) -> None:
    """Two deliverers may hold the same message; one whole file results."""
    folder = Folder(tmp_path, clock=now)
    threads = [threading.Thread(target=folder.deliver, args=(message(body=str(each)),)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.name for each in tmp_path.iterdir()] == ["m-1.json"]
    assert json.loads((tmp_path / "m-1.json").read_text())["id"] == "m-1"


@pytest.mark.parametrize("odd", ["../../escape", "a/b", "", ".hidden", "x" * 300])
def test_an_odd_id_stays_inside_the_folder(tmp_path: Path, odd: str) -> None:
    """The file is then named by the id's digest."""
    root = tmp_path / "deep" / "root"
    folder = Folder.open("f", {"root": str(root)}, clock=now)
    folder.deliver(message(odd))
    (only,) = root.iterdir()
    assert json.loads(only.read_text())["id"] == odd
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]


def test_a_folder_that_went_away_is_unreachable(tmp_path: Path) -> None:
    """To be tried again, with the system's code."""
    folder = Folder.open("f", {"root": str(tmp_path / "gone")}, clock=now)
    (tmp_path / "gone").rmdir()
    with pytest.raises(Unreachable, match="cannot be written") as caught:
        folder.deliver(message())
    assert caught.value.code == "ENOENT"


@pytest.mark.parametrize(
    ("scheme", "options", "field"),
    [
        ("console", {"stream": "printer"}, "stream"),
        ("console", {"colour": "red"}, "colour"),
        ("file", {}, "root"),
        ("file", {"root": "/proc/none"}, "root"),
    ],
)
def test_a_wrong_option_names_the_messenger_and_the_field(scheme: str, options: dict[str, str], field: str) -> None:
    """Settings are refused before anything is sent."""
    with pytest.raises(InvalidInput, match=rf"messengers\.mine: {field}"):
        open_adapter("messengers", scheme, name="mine", options=options, clock=now)


def test_both_are_messengers(tmp_path: Path) -> None:
    """They open by the registry and satisfy the port."""
    for scheme, options in (("console", {}), ("file", {"root": str(tmp_path)})):
        adapter = open_adapter("messengers", scheme, name="mine", options=options, clock=now)
        assert isinstance(adapter, Delivers)
        adapter.close()
