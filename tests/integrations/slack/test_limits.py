"""Whatever people write, what we send is within Slack's limits; what cannot be cut is refused here, not there."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.slack_limits import block_problems, size, view_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.slack import limits
from playbooks.errors import InvalidInput

_words = st.text(max_size=4000)


def _text(text: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": kind, "text": text}


def _button(action: str = "go", text: str = "Go", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": _text(text)} | more


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text, "mrkdwn")}


@settings(deadline=None, max_examples=60)
@given(st.lists(_words, max_size=70), _words, st.integers(0, 30))
def test_any_message_that_was_fitted_is_one_that_slack_takes(texts: list[str], title: str, count: int) -> None:
    """Headings, sections, fields, contexts and buttons of any length come out within every limit."""
    confirm = {"title": _text(title or "x"), "text": _text(title or "x"), "confirm": _text("y"), "deny": _text("n")}
    message = {
        "text": title * 3,
        "blocks": [
            {"type": "header", "text": _text(title)},
            *[_section(limits.escaped(each)) for each in texts],
            {"type": "section", "fields": [_text(each or "-", "mrkdwn") for each in [*texts, "x"]]},
            {"type": "context", "elements": [_text(each or "-", "mrkdwn") for each in texts]},
            {
                "type": "actions",
                "elements": [_button(str(number), title or "x", confirm=confirm) for number in range(count)],
            },
        ],
    }
    fitted = limits.fit(message)
    assert block_problems(fitted["blocks"]) == []
    assert size(fitted["blocks"]) <= 13_200
    assert len(fitted["text"]) <= 4000


def test_a_modal_is_fitted_too() -> None:
    """Titles, options and descriptions are cut; a hundred options stay."""
    options = [{"text": _text("x" * 90), "value": str(number), "description": _text("d" * 90)} for number in range(150)]
    view = {
        "type": "modal",
        "title": _text("Report a leaked key or credential"),
        "submit": _text("Report it now, this very moment"),
        "blocks": [
            {
                "type": "input",
                "block_id": "b",
                "label": _text("What"),
                "element": {
                    "type": "static_select",
                    "action_id": "a",
                    "options": options,
                    "placeholder": _text("p" * 160),
                },
            }
        ],
    }
    fitted = limits.fit(view)
    assert view_problems(fitted) == []
    assert len(fitted["blocks"][0]["element"]["options"]) == 100


REFUSED = {
    "one action id twice": [{"type": "actions", "elements": [_button(), _button()]}],
    "one action id in a section and in actions": [
        _section("x") | {"accessory": _button()},
        {"type": "actions", "elements": [_button()]},
    ],
    "one block id twice": [_section("x") | {"block_id": "b"}, _section("y") | {"block_id": "b"}],
    "empty actions": [{"type": "actions", "elements": []}],
    "an empty section": [_section("")],
    "fifty-one blocks": [{"type": "divider"}] * 51,
    "too much in all": [_section("x" * 2900)] * 5,
    "a section of 3001": [_section("x" * 3001)],
    "a value of 2001": [{"type": "actions", "elements": [_button(value="x" * 2001)]}],
    "an action id of 256": [{"type": "actions", "elements": [_button("x" * 256)]}],
    "a button of 76": [{"type": "actions", "elements": [_button(text="x" * 76)]}],
    "twenty-six buttons": [{"type": "actions", "elements": [_button(str(number)) for number in range(26)]}],
    "an unknown block": [{"type": "marquee"}],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_slack_would_refuse_is_refused_before_it_is_sent(name: str) -> None:
    """The message says which element it is."""
    with pytest.raises(InvalidInput, match="Slack would not take this"):
        limits.check({"text": "x", "blocks": REFUSED[name]})


@pytest.mark.parametrize(
    "view",
    [
        {"type": "modal", "title": _text("x"), "blocks": [], "private_metadata": "x" * 3001},
        {"type": "modal", "title": _text("x" * 25), "blocks": []},
        {"type": "modal", "title": _text("x"), "blocks": [{"type": "input", "element": {}, "label": _text("x")}]},
        {"type": "modal", "title": _text("x"), "blocks": [], "callback_id": "x" * 256},
    ],
)
def test_modals_have_limits_of_their_own(view: dict[str, Any]) -> None:
    """Metadata and ids are never cut, because they would mean something else."""
    with pytest.raises(InvalidInput):
        limits.check(view)


def test_ids_and_values_are_not_cut_but_refused() -> None:
    """A cut value would name another incident."""
    with pytest.raises(InvalidInput, match="value of a button"):
        limits.fit({"text": "x", "blocks": [{"type": "actions", "elements": [_button(value="x" * 2001)]}]})


def test_what_others_wrote_cannot_mention_link_or_hide() -> None:
    """Channel mentions, disguised links and direction marks lose their meaning."""
    assert limits.escaped("<!channel> <https://evil|ok> & \u202egpj.exe\x00") == (
        "&lt;!channel&gt; &lt;https://evil|ok&gt; &amp; gpj.exe"
    )


def test_a_cut_text_ends_in_an_ellipsis_and_with_whole_entities() -> None:
    """No half of an entity or of a date is left."""
    assert limits.cut("abc", 3) == "abc"
    assert limits.cut("abcd", 3) == "ab…"
    assert limits.cut("ab &amp; cd", 7) == "ab…"
    assert limits.cut("due <!date^1700000000^{time}|x> now", 20) == "due…"


@given(st.text(max_size=9000), st.integers(1, 3000))
def test_parts_put_together_are_the_whole(text: str, most: int) -> None:
    """Splitting loses nothing but line breaks, and every part is short enough."""
    parts = limits.split(text, most)
    assert all(len(each) <= most for each in parts)
    assert "".join(parts).replace("\n", "") == text.replace("\n", "")


def test_code_cannot_leave_its_block() -> None:
    """Backquotes in a plan stay text, and an endless plan is cut."""
    blocks = limits.code_blocks("- key ``` <!here> _x_\n" * 900)
    assert all(each["text"]["text"].count("```") == 2 for each in blocks)
    assert "<!here>" not in str(blocks)
    limits.check({"text": "x", "blocks": blocks})
