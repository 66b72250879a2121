"""A playbook of somebody else becomes one of ours when every step is something that keyquell does, and not before."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from foreign_cacao import AGENT, END, OTHER_EXTENSION, PLAIN, START, action, changed, foreign, manual, read, uuid

from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind
from playbooks.plans import Gate, Phase
from playbooks.playbook import ContainmentMove, PricedMove

CUT = manual("cut-credential")
BASH = {"type": "action", "agent": AGENT, "commands": [{"type": "bash", "command": "rm -rf /"}]}
DEFINED = {
    OTHER_EXTENSION: {
        "type": "extension-definition",
        "name": "Theirs",
        "created_by": f"identity--{uuid(3)}",
        "schema": "…",
        "version": "1",
    }
}


def test_every_step_becomes_what_it_says() -> None:
    """Moves with prices, phases with their reasons, who agrees, whom to tell."""
    became = read(
        foreign(
            manual("agree contain two-person"),
            manual("contain", description="First things first."),
            manual("cut-credential", description="Logins stop."),
            manual("quarantine-key"),
            manual("renew"),
            manual(
                "notify owners\nSubject: {codename}: your key\n\nIt changes.\nAgain.", description="They must know."
            ),
            manual("notify regulator\nTemplate: regulator-gdpr"),
            manual("agree retire two-person"),
            manual("retire"),
            labels=["exposure:credential", "scheme:aws-iam", "exposure:policy"],
        )
    )
    playbook = became.playbook
    assert (became.source, playbook.name, playbook.version) == ("steps", "leaked-token-1st-response", 1)
    assert playbook.title == "Leaked token: 1st response"
    assert playbook.applies_to.kinds == (ExposureKind.CREDENTIAL, ExposureKind.POLICY)
    assert playbook.applies_to.schemes == ("aws-iam",)
    assert playbook.containment.prefer == (
        PricedMove(move=ContainmentMove.CUT_CREDENTIAL, price="Logins stop."),
        PricedMove(move=ContainmentMove.QUARANTINE),
    )
    assert playbook.runbook == {Phase.CONTAIN: "First things first."}
    assert [(each.audience, each.subject, each.body, each.template) for each in playbook.notify] == [
        ("owners", "{codename}: your key", "It changes.\nAgain.", ""),
        ("regulator", "", "", "regulator-gdpr"),
    ]
    assert playbook.notify[0].why == "They must know."
    assert playbook.gates.contain is Gate.TWO_PERSON


def test_nothing_is_pre_approved_by_silence() -> None:
    """Where the document does not say who agrees, one person must; retiring needs two as ever."""
    gates = read(PLAIN).playbook.gates
    assert {gates.of(phase) for phase in Phase if phase is not Phase.RETIRE} == {Gate.ONE_PERSON}
    assert gates.retire is Gate.TWO_PERSON


def test_a_command_in_base64_says_the_same() -> None:
    """Both spellings of the standard are read."""
    encoded = {"type": "manual", "command_b64": base64.b64encode(b"disable").decode()}
    became = read(changed(("workflow", action(1), "commands", 0), encoded))
    assert became.playbook.containment.moves[0] is ContainmentMove.DISABLE


def test_on_success_alone_is_straight_on() -> None:
    """A next step on success with nothing on failure is what keyquell does."""
    document = foreign(manual("disable", on_success=action(2)), manual("review"))
    assert read(document).playbook.containment.moves == (ContainmentMove.DISABLE,)


def test_an_exception_that_only_ends_the_workflow_is_nothing_to_do() -> None:
    """Ending is what keyquell does anyway."""
    became = read({**PLAIN, "workflow_exception": END})
    assert became.playbook == read(PLAIN).playbook
    assert "$.workflow_exception" in became.not_kept


def test_what_has_no_place_is_named() -> None:
    """By its path, also what stands inside steps and labels."""
    document = foreign(
        manual("disable", owner=f"identity--{uuid(4)}"),
        priority=3,
        labels=["soc", "exposure:algorithm"],
        description="Theirs.",
    )
    lost = set(read(document).not_kept)
    assert {"$.priority", "$.description", "$.labels[0]", "$.agent_definitions", "$.created"} <= lost
    assert f'$.workflow["{action(1)}"].owner' in lost
    assert not {"$.name", "$.labels", "$.workflow", "$.labels[1]"} & lost


def branching(kind: str, **more: Any) -> dict[str, Any]:
    """A sound playbook with one branching step behind its first action."""
    name = f"{kind}--{uuid(20)}"
    document = changed(("workflow", action(1), "on_completion"), name)
    document["workflow"][name] = {"type": kind, "on_completion": action(2), **more}
    document["workflow"][f"end--{uuid(98)}"] = {"type": "end"}
    document["workflow"][action(9)] = manual("renew", on_completion=f"end--{uuid(98)}")
    return document


def calling() -> dict[str, Any]:
    """A workflow that calls another playbook."""
    name = f"playbook-action--{uuid(20)}"
    call = {"type": "playbook-action", "playbook_id": f"playbook--{uuid(5)}", "on_completion": END}
    start = {"type": "start", "on_completion": name}
    return {START: start, name: call, END: {"type": "end"}}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(branching("if-condition", condition="a = b", on_true=action(9)), id="if"),
        pytest.param(branching("if-condition", condition="a = b", on_true=action(9), on_false=END), id="if and else"),
        pytest.param(branching("while-condition", condition="a = b", on_true=action(9)), id="while"),
        pytest.param(branching("switch-condition", switch="x", cases={"default": action(9)}), id="switch"),
        pytest.param(branching("parallel", next_steps=[action(9)]), id="parallel"),
        pytest.param({**PLAIN, "workflow": calling()}, id="another playbook"),
    ],
)
def test_a_branch_or_a_call_is_sound_but_cannot_be_mapped(document: dict[str, Any]) -> None:
    """The document is right by the standard; keyquell says that it runs straight on."""
    with pytest.raises(InvalidInput, match=r"cannot be mapped: a playbook of keyquell has no step of type") as caught:
        read(document)
    assert "docs/cacao.md" in caught.value.hint


def test_a_loop_may_be_led_by_a_while_condition_alone() -> None:
    """The body of a while-condition may go back to it; the same circle with an if-condition is refused as a circle."""
    for kind, told in (("while-condition", "no step of type while-condition"), ("if-condition", "is in a circle")):
        document = branching(kind, condition="a = b", on_true=action(9))
        del document["workflow"][f"end--{uuid(98)}"]
        document["workflow"][action(9)]["on_completion"] = f"{kind}--{uuid(20)}"
        with pytest.raises(InvalidInput, match=told):
            read(document)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        pytest.param(BASH, "a command of type bash would have to be run, and keyquell runs none", id="a shell"),
        pytest.param(
            {**BASH, "commands": [{"type": "http-api", "command": "GET / HTTP/1.1"}]},
            "type http-api would",
            id="a call",
        ),
        pytest.param({**BASH, "commands": [{"type": "sigma", "command_b64": "eA=="}]}, "type sigma would", id="a rule"),
        pytest.param({**CUT, "commands": CUT["commands"] * 2}, "2 commands: expected one", id="two commands"),
        pytest.param(manual("Isolate the host"), '"Isolate the host" is not one of cut-credential', id="free text"),
        pytest.param(manual("quarantine the key"), "is not one of", id="a word and more"),
        pytest.param(manual("Disable"), "is not one of", id="a capital letter"),
        pytest.param(manual(""), "is not one of", id="nothing"),
        pytest.param(manual("disable\nthen reboot"), "more than one line", id="a line that would be left out"),
        pytest.param(manual("cut-credential"), "is there already", id="the same twice"),
        pytest.param(
            manual("agree contain pre-approved"), "expected: agree PHASE GATE", id="pre-approved by a stranger"
        ),
        pytest.param(manual("agree"), "expected: agree PHASE GATE", id="agree to nothing"),
        pytest.param(manual("agree retire one-person"), "always needs two people", id="retired by one"),
        pytest.param(manual("notify owners"), "expected Subject: ", id="a message without words"),
        pytest.param(manual("notify\nSubject: a\n\nb"), "audience: ", id="a message to nobody"),
        pytest.param(manual("notify a\nSubject: {key}\n\nb"), "{key} is not one of", id="a message that names the key"),
        pytest.param(manual("notify a\nTemplate: none"), "'none' is not one of", id="no such template"),
        pytest.param(manual("notify a\nSubject: __x__:value\n\nb"), "fills in no variables", id="a variable"),
        pytest.param(manual("disable", delay=1), "nothing like delay", id="a delay"),
        pytest.param(manual("disable", timeout=1), "nothing like timeout", id="a time limit"),
        pytest.param(manual("disable", in_args=["__x__"]), "nothing like in_args", id="arguments"),
        pytest.param(
            manual("disable", on_success=END, on_failure=END), "nothing like on_failure", id="a way on failure"
        ),
        pytest.param(manual("disable", step_extensions={OTHER_EXTENSION: {}}), "step_extensions", id="an extension"),
        pytest.param(
            manual("disable", step_variables={"__x__": {"type": "string"}}),
            "nothing like step_variables",
            id="variables",
        ),
    ],
)
def test_a_step_that_is_nothing_keyquell_does(step: dict[str, Any], why: str) -> None:
    """The error names the step and the reason; nothing is guessed, and nothing is run."""
    with pytest.raises(InvalidInput) as caught:
        read(foreign(CUT, step, extension_definitions=DEFINED))
    line = next(each for each in caught.value.message.splitlines() if action(2) in each)
    assert line.startswith(f'theirs.json: $.workflow["{action(2)}"]: ')
    assert f"cannot be mapped: {why}" in line or why in line


def test_each_step_that_cannot_be_mapped_is_listed() -> None:
    """All of them at once, so that they can be dealt with at once; those that can be are not."""
    with pytest.raises(InvalidInput) as caught:
        read(foreign(BASH, CUT, manual("reboot"), manual("quarantine", timeout=5)))
    named = [line.split('"')[1] for line in caught.value.message.splitlines()]
    assert named == [action(1), action(3), action(4)]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        pytest.param(("retire", "disable"), "keyquell starts contain before retire", id="destroy first"),
        pytest.param(
            ("cut-credential", "verify", "renew"), "keyquell starts renew before verify", id="prove too early"
        ),
        pytest.param(
            ("cut-credential", "renew", "agree contain one-person"), "starts contain before", id="agree too late"
        ),
        pytest.param(("quarantine", "quarantine-key"), "quarantine is there already", id="one move by two words"),
        pytest.param(("agree renew one-person", "agree renew two-person"), "is said already", id="agreed on twice"),
        pytest.param(("review",), r"\$\.workflow: no step contains", id="nothing contains"),
    ],
)
def test_an_order_that_is_not_ours(steps: tuple[str, ...], told: str) -> None:
    """Phases start in one order in every plan, and a playbook contains in some way."""
    with pytest.raises(InvalidInput, match=told):
        read(foreign(*map(manual, steps)))


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param(changed(("labels",), None), r"\$\.labels: say for which exposures", id="no labels"),
        pytest.param(
            changed(("labels",), ["exposure:bad-luck"]), r'\$\.labels: "exposure:bad-luck" is not', id="bad luck"
        ),
        pytest.param(changed(("name",), "漏洩 2"), r"\$\.name: has no letter", id="no name of ours"),
        pytest.param({**PLAIN, "workflow_exception": action(2)}, r"\$\.workflow_exception: ", id="an exception step"),
    ],
)
def test_what_is_said_about_the_whole(document: dict[str, Any], told: str) -> None:
    """For which exposures it is must be said in our words; the rest cannot be guessed either."""
    with pytest.raises(InvalidInput, match=told):
        read(document)


def test_start_is_where_the_document_says() -> None:
    """The order of the file does not matter, the order of the pointers does."""
    turned = {**PLAIN, "workflow": dict(reversed(PLAIN["workflow"].items()))}
    assert next(iter(turned["workflow"])) == END != START
    assert read(turned).playbook == read(PLAIN).playbook
