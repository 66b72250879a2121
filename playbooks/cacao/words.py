"""What a workflow's steps say in words, and what each word is to keyquell.

A manual command of a step is one line: ``quarantine``, ``renew``, ``agree contain one-person``; a message begins with
``notify AUDIENCE``.  The words are those of the playbook file, so that both ways are one table.
"""

from __future__ import annotations

from playbooks.plans import Gate, Phase
from playbooks.playbook import ContainmentMove

MOVES = {move.value: move for move in ContainmentMove} | {
    "quarantine-key": ContainmentMove.QUARANTINE,
    "stop-encryption": ContainmentMove.STOP_ENCRYPT,
    "disable-key": ContainmentMove.DISABLE,
}
"""A way to contain, by the playbook's word or by the plan's."""

PHASES = {phase.value: phase for phase in Phase if phase is not Phase.NOTIFY}
AGREED = {gate.value: gate for gate in Gate if gate.people}
"""Gates that a step may ask for.  No document can declare a phase pre-approved."""

ORDER = tuple(Phase)

MOVE_NAMES = {
    ContainmentMove.CUT_CREDENTIAL: "Cut the credential",
    ContainmentMove.QUARANTINE: "Quarantine the key",
    ContainmentMove.STOP_ENCRYPT: "Stop encryption under the key",
    ContainmentMove.DISABLE: "Disable the key",
}
PHASE_NAMES = {
    Phase.CONTAIN: "Contain",
    Phase.RENEW: "Renew keys and credentials",
    Phase.REENCRYPT: "Re-encrypt or rewrap what is under the old key",
    Phase.REVOKE: "Revoke",
    Phase.VERIFY: "Prove by probes and a census",
    Phase.RETIRE: "Retire the old key",
    Phase.REVIEW: "Review the case",
}
DOES = {
    Phase.CONTAIN: "Preview the plan, then contain by the ways that follow, in order of preference: where a backend "
    "lacks one, the next is taken. Each is proven by a fresh try that is refused.",
    Phase.RENEW: "Create or rotate keys, issue credentials and certificates, and switch their users over.",
    Phase.REENCRYPT: "Encrypt anew or wrap data keys anew, whichever the exposure needs.",
    Phase.REVOKE: "Revoke certificates, publish the cut-off time, turn the old key off.",
    Phase.VERIFY: "The old key or credential must be refused, the new one must work, and the census must say what is "
    "still under the old key.",
    Phase.RETIRE: "Schedule deletion or destroy, only when the census shows that nothing is left under the old key.",
    Phase.REVIEW: "Write down what is learned and agree on actions.",
}
ACTIVITIES = {
    Phase.CONTAIN: "restrict-access",
    Phase.RENEW: "configure-systems",
    Phase.REENCRYPT: "eliminate-risk",
    Phase.REVOKE: "restrict-access",
    Phase.VERIFY: "analyze-collected-data",
    Phase.NOTIFY: "deliver-content",
    Phase.RETIRE: "eliminate-risk",
    Phase.REVIEW: "analyze-collected-data",
}
"""Playbook activities (section 3.1.2) that come nearest."""

KIND_LABEL = "exposure:"
SCHEME_LABEL = "scheme:"
SUBJECT = "Subject: "
TEMPLATE = "Template: "
