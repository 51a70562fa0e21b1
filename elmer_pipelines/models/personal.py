"""Where a text holds what identifies a person or an account: addresses, numbers with their checksums, given terms.

Found by form alone, no model asked; what is put in their place is in `redaction.py`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Found(NamedTuple):
    """Characters `start:end` hold a value of this kind: TERM, EMAIL, IBAN, CARD, ACCOUNT or PHONE."""

    start: int
    end: int
    kind: str


_SEP = r"[ \u00a0\u2007\u2009\u202f./\-\u2010-\u2013]"  # what stands between groups of digits
_GAP = rf"(?:{_SEP}|\(0\)|[()]){{0,3}}"
_EMAIL = re.compile(r"(?<![\w.+%'-])[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W_]{2,63}(?![\w-])")
_IBAN = re.compile(r"(?<![^\W_])(?=([A-Za-z]{2}\d{2}(?:[ \u00a0\u202f-]?[A-Za-z0-9]){11,30}))")
_CARD = re.compile(r"(?<![\w.])\d(?:[ \u00a0\u202f-]?\d){12,18}(?!\w)")
# Lengths by first digits, after ISO/IEC 7812 and the brands' own pages: an order number seldom has both.
_BRANDS = re.compile(
    r"(?:4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}|6\d{15,18}|50\d{14})\Z"
)
_ACCOUNT = re.compile(
    r"\b(?:account (?:number|no\.?|nr\.?)|acct\.? (?:number|no\.?)|routing (?:number|no\.?)|sort code|Kontonummer|"
    r"Konto-?\s?Nr\.?|n[úu]mero de cuenta|num[ée]ro de compte)"
    r"(?: (?:is|ist|lautet|es|est))?[ \u00a0:#]{0,3}(\d(?:[ \u00a0-]?\d){4,17})(?!\w)",
    re.IGNORECASE,
)
_PHONES = tuple(
    re.compile(form)
    for form in (
        rf"(?<![\w+])\+{_GAP}\d(?:{_GAP}\d){{6,14}}(?!\w)",  # +49 (0)170 123-4567
        rf"(?<![\w+.,/-])00[1-9](?:{_GAP}\d){{6,14}}(?!\w)",  # 0049 170 1234567
        # German: an area or mobile code from 0, then the number: (030) 123 456, 0170/1234567, 01701234567
        r"(?<![\w+.,/-])(?:\(0[1-9]\d{1,4}\)|0[1-9]\d{1,4})[ \u00a0/\u2010-\u2013-]{1,3}\d{2,}"
        r"(?:[ \u00a0/\u2010-\u2013-]?\d{2,}){0,4}(?!\w|,\d)",
        r"(?<![\w+.,/-])01[5-7]\d{8,9}(?!\w)",
        r"(?<![\w+.,/-])0[1-9](?:[ \u00a0.]\d{2}){4}(?!\w)",  # French: 01 23 45 67 89
        # North American: (415) 555-2671, 415.555.2671
        r"(?<![\w+.,/-])(?:1[ .-])?(?:\([2-9]\d{2}\)[ \u00a0]?|[2-9]\d{2}[ \u00a0.-])[2-9]\d{2}[ \u00a0.-]\d{4}(?!\w)",
    )
)
_CALLED = re.compile(
    r"\b(?:tel(?:e(?:phone|fon))?|phone|mobile|cell|fax|Handy|Mobil|Rufnummer|tel[ée]fono|t[ée]l[ée]phone)"
    rf"(?: (?:number|no\.?|is|ist))?[.:# \u00a0]{{0,3}}(\d(?:{_GAP}\d){{5,14}})(?!\w)",
    re.IGNORECASE,
)
# The IBAN registry's lengths by country.
_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 "
    "FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
    "LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 "
    "SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {one[:2]: int(one[2:]) for one in _LENGTHS.split()}
_MIN_PHONE_DIGITS, _MAX_PHONE_DIGITS = 7, 15  # fifteen is E.164's limit


def personal(text: str, terms: re.Pattern[str] | None) -> list[Found]:
    """What of `text` is to be kept back, in order; what overlaps is one, of the kind of its longest part."""
    every = [one for find in (_terms(terms), _emails, _ibans, _cards, _accounts, _phones) for one in find(text)]
    apart: list[Found] = []
    longest = 0
    for one in sorted(every):
        length = one.end - one.start
        if not apart or one.start >= apart[-1].end:
            apart.append(one)
            longest = length
            continue
        last = apart[-1]
        apart[-1] = Found(last.start, max(last.end, one.end), one.kind if length > longest else last.kind)
        longest = max(longest, length)
    return apart


def term_pattern(terms: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern for any of the terms: whatever the case and white space, whole words, in either Unicode form."""
    forms = {form for term in terms if term.strip() for form in (_normal("NFC", term), _normal("NFD", term))}
    if not forms:
        return None
    alternatives = [_whole_words(form) for form in sorted(forms, key=lambda one: (-len(one), one))]
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _normal(form: str, term: str) -> str:
    return unicodedata.normalize(form, term.strip())  # type: ignore[arg-type]


def _whole_words(term: str) -> str:
    """Edges count where letters have a case: scripts without spaces between words have none."""
    body = r"\s+".join(re.escape(word) for word in term.split())
    before = r"(?<!\w)" if _cased(term[0]) else ""
    after = r"(?!\w)" if _cased(term[-1]) else ""
    return f"{before}{body}{after}"


def _cased(mark: str) -> bool:
    return mark.isdigit() or mark.lower() != mark.upper()


def _terms(pattern: re.Pattern[str] | None) -> Callable[[str], Iterator[Found]]:
    def find(text: str) -> Iterator[Found]:
        for found in pattern.finditer(text) if pattern else ():
            yield Found(*found.span(), "TERM")

    return find


def _emails(text: str) -> Iterator[Found]:
    for found in _EMAIL.finditer(text):
        yield Found(*found.span(), "EMAIL")


def _ibans(text: str) -> Iterator[Found]:
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(found[1][:2].upper())
        places = [found.start() + at for at, mark in enumerate(found[1]) if mark.isalnum()]
        if length is None or len(places) < length:
            continue
        end = places[length - 1] + 1
        number = "".join(mark for mark in text[found.start() : end] if mark.isalnum()).upper()
        whole = end == len(text) or not text[end].isalnum()
        if whole and int("".join(str(int(mark, 36)) for mark in number[4:] + number[:4])) % 97 == 1:
            yield Found(found.start(), end, "IBAN")


def _cards(text: str) -> Iterator[Found]:
    for found in _CARD.finditer(text):
        digits = _digits(found.group())
        if _BRANDS.match(digits) and _luhn(digits):
            yield Found(*found.span(), "CARD")


def _luhn(digits: str) -> bool:
    doubled = [int(one) * (1 + at % 2) for at, one in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def _accounts(text: str) -> Iterator[Found]:
    for found in _ACCOUNT.finditer(text):
        yield Found(*found.span(1), "ACCOUNT")


def _phones(text: str) -> Iterator[Found]:
    end = 0
    spans = sorted(
        [found.span() for form in _PHONES for found in form.finditer(text)]
        + [found.span(1) for found in _CALLED.finditer(text)],
        key=lambda span: (span[0], -span[1]),
    )
    for span in spans:
        number = _digits(text[slice(*span)])
        if span[0] >= end and _MIN_PHONE_DIGITS <= len(number) <= _MAX_PHONE_DIGITS:
            end = span[1]
            yield Found(*span, "PHONE")


def _digits(text: str) -> str:
    return "".join(str(unicodedata.digit(mark)) for mark in text if mark.isdigit())
