"""When two written names mean one person, and when they only look alike to whoever reads them."""

from __future__ import annotations

import unicodedata

_LATIN = str.maketrans(
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u0578\u043e\u0440\u051b\u0455\u057d\u0475\u0461"
    "\u0445\u0443\u1d22\u043a\u0442\u043c\u03b1\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b9",
    "acdehijlnopqsuvwxyzktmakvoptuxi",
)
"""Cyrillic, Armenian and Greek letters by the Latin ones that they look like (after Unicode TS 39, in part)."""


def person(name: str) -> str:
    """One person, one name: case, width, space, accents' encoding and invisible characters make no other.

    Compatibility forms and case are folded as Unicode says (NFKC, full case folding).
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(each for each in folded if unicodedata.category(each) not in ("Cf", "Cc") or each.isspace())
    return " ".join(seen.split())


def same_person(one: str, other: str) -> bool:
    """Do both names mean one person?"""
    return person(one) == person(other)


def looks(name: str) -> str:
    """What a tired reader takes the name for: without accents and spaces, look-alikes of other scripts as Latin."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", person(name)) if not unicodedata.combining(each))
    return bare.translate(_LATIN).replace(" ", "")
