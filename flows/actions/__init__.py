"""One effect for each action a plan may contain."""

from flows.actions import contain, finish, protect, renew, verify
from flows.effects import Effect
from playbooks.plans import Action

EFFECTS: dict[Action, Effect] = {
    Action.CUT_CREDENTIAL: contain.cut_credential,
    Action.REVOKE_SESSIONS: contain.revoke_sessions,
    Action.REVOKE_GRANTS: contain.revoke_grants,
    Action.QUARANTINE_KEY: contain.quarantine_key,
    Action.STOP_ENCRYPTION: contain.stop_encryption,
    Action.DISABLE_KEY: contain.disable_key,
    Action.CANCEL_DELETION: contain.cancel_deletion,
    Action.CREATE_KEY: renew.create_key,
    Action.ROTATE_KEY: renew.rotate_key,
    Action.SWITCH_KEY: renew.switch_key,
    Action.ISSUE_CREDENTIAL: renew.issue_credential,
    Action.ISSUE_CERTIFICATE: renew.issue_certificate,
    Action.RESIGN: renew.resign,
    Action.REWRAP: protect.rewrap,
    Action.REENCRYPT: protect.reencrypt,
    Action.REVOKE_CERTIFICATE: finish.revoke_certificate,
    Action.PUBLISH_CUTOFF: finish.publish_cutoff,
    Action.PROBE_OLD: verify.probe_old,
    Action.PROBE_NEW: verify.probe_new,
    Action.TAKE_CENSUS: protect.take_census,
    Action.CHECK_CONSUMER: verify.check_consumer,
    Action.NOTIFY: finish.notify,
    Action.SCHEDULE_DELETION: finish.schedule_deletion,
    Action.DESTROY_KEY: finish.destroy_key,
    Action.REVIEW: finish.review,
}
