"""A login at a network HSM with a stolen PIN, as its attackers use it: one process, one session, CKR names."""

from __future__ import annotations

import os
from typing import Any

import pkcs11
from pkcs11 import exceptions

from simulations.journals import AdversaryConfig, Loot
from simulations.techniques.lane import Finding

_CKR: dict[type[Exception], str] = {
    exceptions.PinIncorrect: "CKR_PIN_INCORRECT",
    exceptions.PinLocked: "CKR_PIN_LOCKED",
    exceptions.PinInvalid: "CKR_PIN_INVALID",
    exceptions.PinLenRange: "CKR_PIN_LEN_RANGE",
    exceptions.PinExpired: "CKR_PIN_EXPIRED",
    exceptions.UserPinNotInitialized: "CKR_USER_PIN_NOT_INITIALIZED",
    exceptions.UserNotLoggedIn: "CKR_USER_NOT_LOGGED_IN",
    exceptions.NoSuchKey: "CKR_KEY_HANDLE_INVALID",
    exceptions.NoSuchToken: "CKR_TOKEN_NOT_PRESENT",
    exceptions.TokenNotPresent: "CKR_TOKEN_NOT_PRESENT",
    exceptions.TokenNotRecognised: "CKR_TOKEN_NOT_RECOGNIZED",
    exceptions.DeviceError: "CKR_DEVICE_ERROR",
    exceptions.DeviceRemoved: "CKR_DEVICE_REMOVED",
    exceptions.GeneralError: "CKR_GENERAL_ERROR",
    exceptions.FunctionFailed: "CKR_FUNCTION_FAILED",
    exceptions.SessionHandleInvalid: "CKR_SESSION_HANDLE_INVALID",
    exceptions.SessionClosed: "CKR_SESSION_CLOSED",
    exceptions.ObjectHandleInvalid: "CKR_OBJECT_HANDLE_INVALID",
    exceptions.KeyHandleInvalid: "CKR_KEY_HANDLE_INVALID",
    exceptions.EncryptedDataInvalid: "CKR_ENCRYPTED_DATA_INVALID",
    exceptions.KeyTypeInconsistent: "CKR_KEY_TYPE_INCONSISTENT",
    exceptions.MechanismInvalid: "CKR_MECHANISM_INVALID",
}
#: Return codes that python-pkcs11 0.10 has no class for.
_UNMAPPED = {"0x68": "CKR_KEY_FUNCTION_NOT_PERMITTED", "0x1b": "CKR_ACTION_PROHIBITED"}
_LOST = (
    exceptions.DeviceError,
    exceptions.DeviceRemoved,
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.GeneralError,
    exceptions.TokenNotPresent,
    exceptions.NoSuchToken,
    exceptions.UserNotLoggedIn,
)


class HsmLogin:
    """A session at the token, opened with the stolen PIN when first needed; ``drop`` logs out again."""

    def __init__(self, config: AdversaryConfig, loot: Loot) -> None:
        self._config = config
        self._pin = loot.pin
        os.environ.update(config.environment)
        self._library: Any = None
        self._session: Any = None

    def session(self) -> Any:
        """The open session; raises the module's own errors when the login is refused."""
        if self._session is None:
            if self._library is None:
                self._library = pkcs11.lib(self._config.module)
            token = self._library.get_token(token_label=self._config.token)
            self._session = token.open(user_pin=self._pin)
        return self._session

    def key(self, object_class: Any) -> Any:
        """The attacked key in this class, fetched anew: usage flags are read when an object is fetched."""
        return self.session().get_key(label=self._config.key_label, object_class=object_class)

    def drop(self) -> None:
        """Log out and close, so that the next use presents the PIN again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def failed(self, error: Exception, route: str) -> Finding:
        """The finding for an error of the module: its CKR name; a login that was lost is begun anew next time."""
        lost = isinstance(error, _LOST)
        if isinstance(error, AttributeError):
            # A key whose usage flag is off has no such method in python-pkcs11.
            return Finding(False, "CKR_KEY_FUNCTION_NOT_PERMITTED", route)
        name = _CKR.get(type(error), "")
        for number, unmapped in _UNMAPPED.items():
            name = name or (unmapped if number in str(error) else "")
        return Finding(False, name or type(error).__name__, route, lost_connection=lost)
