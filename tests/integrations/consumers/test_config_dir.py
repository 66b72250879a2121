"""Telling a consumer by its settings file."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.consumers.config_dir import ConfigDir
from playbooks.errors import InvalidInput, NotFound
from playbooks.ports import Informs


@pytest.fixture
def channel(tmp_path: Path) -> ConfigDir:
    return ConfigDir.open("services", {"root": str(tmp_path)}, clock=lambda: datetime.now(UTC))


def test_what_is_published_is_read_back_and_merged(channel: ConfigDir) -> None:
    """Values not mentioned stay; publishing the same twice changes nothing; the previous values are in the undo."""
    assert isinstance(channel, Informs)
    assert channel.publish("billing", values={"key": "a", "other": "b"}).changed
    receipt = channel.publish("billing", values={"key": "c"})
    assert receipt.undo == {"values": {"key": "a"}}
    assert channel.published("billing") == {"key": "c", "other": "b"}
    assert not channel.publish("billing", values={"key": "c"}).changed


def test_a_reader_never_sees_half_a_file(channel: ConfigDir) -> None:
    """While one thread publishes, another reads: every read is whole."""
    channel.publish("billing", values={"key": "0" * 5000})
    stop = threading.Event()

    def publish() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            channel.publish("billing", values={"key": str(turn % 10) * 5000})

    writer = threading.Thread(target=publish)
    writer.start()
    try:
        for _ in range(200):
            value = channel.published("billing")["key"]
            assert len(set(value)) == 1
            assert len(value) == 5000
    finally:
        stop.set()
        writer.join()


def test_names_outside_the_folder_and_broken_files_are_refused(channel: ConfigDir, tmp_path: Path) -> None:
    """A broken file is left alone."""
    for name in ("../x", "", ".hidden", "a/b"):
        with pytest.raises(InvalidInput):
            channel.publish(name, values={})
    with pytest.raises(NotFound):
        channel.published("nobody")
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "settings.json").write_text("{")
    with pytest.raises(InvalidInput):
        channel.publish("billing", values={"key": "a"})
    assert (tmp_path / "billing" / "settings.json").read_text() == "{"
