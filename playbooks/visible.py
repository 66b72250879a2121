"""Text that others wrote, with nothing in it that cannot be seen."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


def visible(text: object) -> str:
    """The text with control and direction characters written out, so that no name can disguise a line.

    Line feeds stay.  No terminal takes any of the rest for a command (ECMA-48).
    """
    plain = str(text)
    return plain if plain.isascii() and plain.isprintable() else "".join(map(_shown, plain))


def _shown(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _UNSEEN:
        return character
    return f"<U+{ord(character):04X}>"
