"""Settings: found in a known order, anchored at their file, and wrong ones named with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.documents import load_estate
from flows.settings import load_settings
from playbooks.errors import InvalidInput

MINIMAL = "state: state\nestate: estate.yaml\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file in a folder that is not the current one."""
    monkeypatch.delenv("KEYQUELL_CONFIG", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "keyquell.yaml"


def test_two_fields_are_enough_and_the_rest_has_defaults(place: Path) -> None:
    """Where the state lies and what the estate is; everything else can come later."""
    place.write_text(MINIMAL, encoding="utf-8")
    settings = load_settings(place)
    assert settings.state == place.parent / "state"
    assert settings.estate == place.parent / "estate.yaml"
    assert settings.records_url == f"sqlite:///{place.parent}/state/records.db"
    assert settings.policy.probe_times == 3
    assert settings.exercise is None


def test_paths_that_begin_with_a_dot_are_anchored_at_the_file(place: Path) -> None:
    """Wherever the command runs; also inside references, lists and database URLs.  Everything else is left as it is."""
    place.write_text(
        MINIMAL
        + "records: sqlite:///./r.db\n"
        + "connections:\n"
        + "  hsm: {type: pkcs11, module: /usr/lib/m.so, pin: 'file:./pin', evict_command: [./evict, now]}\n"
        + "  docs: {type: files, root: ../data}\n"
        + "  vault: {type: openbao, url: 'https://bao.example', token: 'env:TOKEN'}\n"
        + "messengers: [{type: file, root: ./outbox}]\n",
        encoding="utf-8",
    )
    settings, base = load_settings(place), place.parent
    assert settings.records_url == f"sqlite:///{base}/r.db"
    assert settings.connections["hsm"]["pin"] == f"file:{base}/pin"
    assert settings.connections["hsm"]["module"] == "/usr/lib/m.so"
    assert settings.connections["hsm"]["evict_command"] == [f"{base}/evict", "now"]
    assert settings.connections["docs"]["root"] == str(base.parent / "data")
    assert settings.connections["vault"]["token"] == "env:TOKEN"
    assert settings.messengers[0]["root"] == f"{base}/outbox"


def test_the_option_counts_before_the_environment_and_that_before_the_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--config, then $KEYQUELL_CONFIG, then ./keyquell.yaml."""
    here, named = Path("keyquell.yaml").absolute(), place.with_name("named.yaml")
    for each in (here, named, place):
        each.write_text(MINIMAL, encoding="utf-8")
    assert load_settings().source == here
    monkeypatch.setenv("KEYQUELL_CONFIG", str(named))
    assert load_settings().source == named
    assert load_settings(place).source == place


def test_a_name_in_the_environment_that_points_nowhere_is_an_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Falling back to another installation's settings would contain the wrong estate."""
    Path("keyquell.yaml").write_text(MINIMAL, encoding="utf-8")
    monkeypatch.setenv("KEYQUELL_CONFIG", str(place))
    with pytest.raises(InvalidInput, match="there is no settings file"):
        load_settings()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("state: s\n", "estate: Field required"),
        (MINIMAL + "conections: {}\n", "keyquell.yaml:3: conections: there is no such field"),
        (MINIMAL + "policy:\n  probe_times: 0\n", "keyquell.yaml:4: policy.probe_times: Input should be greater"),
        (MINIMAL + "connections: [a]\n", "keyquell.yaml:3: connections:"),
        (MINIMAL + "state: again\n", "state is given twice"),
        ("state: [\n", "this is not YAML"),
        ("- a\n", "must be a mapping"),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(place: Path, document: str, said: str) -> None:
    """A person at 3 a.m. goes straight to the line."""
    place.write_text(document, encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        load_settings(place)
    assert said in refused.value.message


def test_a_file_that_is_not_text_is_refused_in_words(place: Path) -> None:
    """And so is a folder."""
    place.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="not text"):
        load_settings(place)
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_settings(place.parent)


def test_a_value_of_the_wrong_kind_is_not_repeated_because_it_may_be_a_secret(place: Path) -> None:
    """Somebody will paste a PIN where a reference belongs."""
    place.write_text("keys: []\ncredentials:\n  - ref: pkcs11-pin:hsm/user\n    consumer: a\n    secret: 739182\n")
    with pytest.raises(InvalidInput) as refused:
        load_estate(place)
    assert "keyquell.yaml:5: credentials.0.secret" in refused.value.message
    assert "739182" not in str(refused.value)


def test_an_absent_estate_is_an_empty_one_and_a_dangling_reference_is_named(place: Path) -> None:
    """An installation begins without an inventory; a dataset under an unlisted key is a mistake."""
    assert load_estate(place).keys == ()
    place.write_text("datasets:\n  - {ref: 'files:docs/a', key: 'aws-kms:cloud/k', envelope: esdk}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="files:docs/a is under aws-kms:cloud/k, which keys does not list"):
        load_estate(place)
