"""Numbers and units as students write them: fractions, percent, comma decimals, powers of ten, units of physics."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import pint

MAX_CHARACTERS = 200
MAX_EXPONENT = 400
# languages that write 1.234,5
COMMA_LANGUAGES = frozenset(
    re.findall(
        r"\w+",
        "af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk lt lv mk nb nl nn no pl pt ro ru sk "
        "sl sq sr sv tr uk uz vi",
    )
)
RELATIVE_TOLERANCE = Fraction(1, 10**9)

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
# minus, en dash and hyphens; middle dots and crosses
_SIGNS = str.maketrans("\u2212\u2013\u2010\u2011\u00b7\u22c5\u00d7\u2715\u2219", "----*****")
_SPACES = re.compile(r"(?<=\d)[\u00a0\u2009\u202f '\u2019](?=\d{3}(?!\d))")
_DIGITS = r"(?:\d[\d.,]*|[.,]\d+)"
_POWER = r"(?:[eE]\s*([+-]?\d{1,4})|\s*[*xX]\s*10\s*(?:\^|\*\*)\s*\(?([+-]?\d{1,4})\)?)"
_NUMBER = re.compile(
    rf"([+-])?\s*(?:(?:(?P<whole>\d{{1,9}})\s+)?(?P<top>\d{{1,15}})\s*/\s*(?P<bottom>\d{{1,15}})"
    rf"|(?P<ten>10)\s*(?:\^|\*\*)\s*\(?(?P<tenth>[+-]?\d{{1,4}})\)?"
    rf"|(?P<digits>{_DIGITS})(?:{_POWER})?)\s*"
)
_UNIT = r"[^\W\d_]+|[°'\"€$£¥µΩ%]+[^\W\d_]*"
_UNITS = re.compile(
    rf"(?:{_UNIT})(?:(?:\^|\*\*)?-?\d{{1,2}})?(?:\s*[*/ ]\s*(?:{_UNIT})(?:(?:\^|\*\*)?-?\d{{1,2}})?){{0,5}}"
)


class Quantity(NamedTuple):
    """A number, and its unit as it was written; "" without one."""

    value: Fraction
    unit: str


def tidy(text: str) -> str:
    """A text with plain digits and signs, and without characters that nobody sees."""
    shown: list[str] = []
    for char in text:
        digit = unicodedata.decimal(char, None)
        if digit is not None:
            shown.append(str(digit))
        elif unicodedata.category(char) == "No" and "FRACTION" in unicodedata.name(char, ""):
            # ½ becomes 1/2; 1½ becomes 1 1/2
            shown.append(" " + unicodedata.normalize("NFKC", char).replace("\u2044", "/"))
        elif char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺":
            shown += ["" if _is_raised(shown) else "^", char.translate(_SUPERSCRIPTS)]
        elif unicodedata.category(char) not in ("Cf", "Cc"):
            shown.append(char)
        elif char in "\t\n\r":
            shown.append(" ")
    return "".join(shown).translate(_SIGNS).strip()


def _is_raised(shown: list[str]) -> bool:
    """Whether what was written last belongs to an exponent."""
    for part in reversed(shown):
        if part == "^":
            return True
        if part and not (part.isdigit() or part in "+-"):
            return False
    return False


def readings(text: str, language: str) -> Iterator[Quantity]:
    """What a text may say as a number: none when it is no number, usually one.

    :param language: two letters; decides what 1,234 is
    """
    text = tidy(text[:MAX_CHARACTERS] if len(text) <= MAX_CHARACTERS else "")
    text = re.sub(r"^(?:[^\W\d_]\s*)?=\s*", "", text).rstrip(".!;,").strip()
    front = re.match(r"^([+-]?)\s*([€$£¥])\s*(?=[\d.,])", text)
    if front:
        text = f"{front.group(1)}{text[front.end() :]} {front.group(2)}"
    text = _SPACES.sub("", text)
    match = _NUMBER.match(text)
    if match is None:
        return
    unit = text[match.end() :].strip()
    if unit and not _UNITS.fullmatch(unit):
        return
    value = _value(match, language)
    if value is not None:
        yield Quantity(-value if match.group(1) == "-" else value, unit)


def _value(match: re.Match[str], language: str) -> Fraction | None:
    if match["top"]:
        bottom = int(match["bottom"])
        return None if bottom == 0 else int(match["whole"] or 0) + Fraction(int(match["top"]), bottom)
    if match["ten"]:
        return _power(Fraction(1), match["tenth"])
    plain = decimal(match["digits"], language)
    if plain is None:
        return None
    exponents = [group for group in match.groups()[-2:] if group is not None]
    return _power(plain, exponents[0]) if exponents else plain


def _power(value: Fraction, exponent: str) -> Fraction | None:
    return value * Fraction(10) ** int(exponent) if abs(int(exponent)) <= MAX_EXPONENT else None


def decimal(digits: str, language: str) -> Fraction | None:
    """A number of digits, commas and points. Where both readings are possible the language decides.

    None when neither is: 1,2,3 or 1.23.456.
    """
    point = "," if language in COMMA_LANGUAGES else "."
    for mark in (point, "," if point == "." else "."):
        thousands = "," if mark == "." else "."
        whole, _, rest = digits.partition(mark)
        groups = whole.split(thousands)
        are_groups = len(groups) == 1 or (
            1 <= len(groups[0]) <= 3 and groups[0] != "0" and all(len(group) == 3 for group in groups[1:])
        )
        if are_groups and rest.isdigit() | (rest == "") and (whole or rest):
            return Fraction(f"{''.join(groups) or '0'}.{rest or '0'}")
    return None


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    return pint.UnitRegistry(cache_folder=None, autoconvert_offset_to_baseunit=True)


def _parsed(unit: str, *, case_sensitive: bool) -> pint.Unit | None:
    rewritten = re.sub(r"(?<=[^\W\d_])(?:\^|\*\*)?(-?\d{1,2})", r"**\1", unit)
    rewritten = re.sub(r"(?<=[\w])\s+(?=[^\W\d_])", "*", rewritten.replace("°", "deg"))
    try:
        return _registry().parse_units(rewritten, case_sensitive=case_sensitive)
    except Exception:  # pint raises many kinds for what it cannot read
        return None


def converted(quantity: Quantity, unit: str) -> Fraction | None:
    """The value in another unit; None when the units do not fit. Without a unit the value is taken as it is.

    Letter case does not matter.
    """
    if not quantity.unit or "".join(quantity.unit.casefold().split()) == "".join(unit.casefold().split()):
        return quantity.value
    if quantity.unit == "%":
        return quantity.value / 100 if not unit else None
    for case_sensitive in (True, False):
        given = _parsed(quantity.unit, case_sensitive=case_sensitive)
        wanted = _parsed(unit or "dimensionless", case_sensitive=case_sensitive)
        if given is None or wanted is None:
            continue
        try:
            return Fraction(_registry().Quantity(float(quantity.value), given).to(wanted).magnitude)
        except Exception:  # noqa: S112 - another dimension, or a number that is too large for a double
            continue
    return None


def is_close(value: Fraction, right: Fraction, tolerance: Fraction | None) -> bool:
    """Whether a value is right: within the tolerance, else to nine digits."""
    return abs(value - right) <= (abs(right) * RELATIVE_TOLERANCE if tolerance is None else tolerance)
