"""The archive: one form only, and nothing beside its files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playbooks.errors import RecordError
from playbooks.evidence.archive import read_archive, write_archive

FILES = {"record.ndjson": b'{"seq":0}\n', "times/0001.tsr": bytes(range(256)), "empty.json": b""}


def test_what_was_written_is_read_again_and_any_zip_tool_opens_it() -> None:
    """The archive is a plain ZIP with the same files."""
    data = write_archive(FILES)
    assert read_archive(data) == FILES
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == FILES


def test_the_order_in_which_files_come_changes_nothing() -> None:
    """Names are sorted, times are fixed."""
    assert write_archive(dict(reversed(FILES.items()))) == write_archive(FILES)


def test_a_change_of_any_byte_outside_the_contents_is_refused_and_inside_it_too() -> None:
    """Every single byte counts: headers by comparison, contents by their checksum."""
    data = write_archive(FILES)
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 0x41
        with pytest.raises(RecordError):
            read_archive(bytes(altered))


@pytest.mark.parametrize(
    "altered",
    [
        pytest.param(lambda data: b"", id="nothing"),
        pytest.param(lambda data: data[:-1], id="cut off at the end"),
        pytest.param(lambda data: data[1:], id="cut off at the start"),
        pytest.param(lambda data: data + b"\0", id="a byte at the end"),
        pytest.param(lambda data: b"\0" + data, id="a byte at the start"),
        pytest.param(lambda data: data[:-2] + b"\x05\x00hello", id="a comment"),
        pytest.param(lambda data: _by_zipfile(FILES), id="the same files by another tool"),
        pytest.param(lambda data: _by_zipfile({"../evil": b"x"}), id="a path that leads out"),
        pytest.param(lambda data: _by_zipfile({"a": b"\0" * 100_000}, zipfile.ZIP_DEFLATED), id="compressed"),
    ],
)
def test_an_archive_in_another_form_is_refused(altered: Callable[[bytes], bytes]) -> None:
    """There is one form of a pack and no second."""
    with pytest.raises(RecordError):
        read_archive(altered(write_archive(FILES)))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "A.json", "a/b/c", "a b", "a\n", "é"])
def test_a_name_that_could_lead_elsewhere_is_never_written(name: str) -> None:
    """Names are plain lower-case paths, one folder deep at most."""
    with pytest.raises(RecordError):
        write_archive({name: b""})


@given(st.binary(max_size=400))
def test_noise_is_refused_in_words(noise: bytes) -> None:
    """Whatever the file holds, reading ends with a sentence."""
    with pytest.raises(RecordError):
        read_archive(noise)


def _by_zipfile(files: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()
