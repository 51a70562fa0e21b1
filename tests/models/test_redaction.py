"""What is found in a text, what stands in its place, and the way back (I1), whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from elmer_pipelines.models.prompts import envelope
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.redacted import RedactedText, redacted_material, redaction_of
from elmer_pipelines.models.redaction import Placeholders, Redaction, without_placeholders

REDACTION = Redaction(terms=("Blue Falcon", "Müller & Söhne", "O'Brien", "项目"))

PERSONAL = {
    "ada.lovelace+x@acme-corp.co.uk": "EMAIL",
    "jürgen.o'neill@büro.de": "EMAIL",
    "+49 (0)170 123-4567": "PHONE",
    "+4930123456": "PHONE",
    "0049 170 1234567": "PHONE",
    "+1 (415) 555-2671": "PHONE",
    "+44 20 7946 0958": "PHONE",
    "(030) 123 456": "PHONE",
    "0170/1234567": "PHONE",
    "01701234567": "PHONE",
    "089-12345678": "PHONE",
    "01 23 45 67 89": "PHONE",
    "415.555.2671": "PHONE",
    "(415) 555-2671": "PHONE",
    "4111 1111 1111 1111": "CARD",
    "5500-0000-0000-0004": "CARD",
    "378282246310005": "CARD",
    "DE89 3704 0044 0532 0130 00": "IBAN",
    "GB82WEST12345698765432": "IBAN",
    "fr14 2004 1010 0505 0001 3m02 606": "IBAN",
    "blue\nfalcon": "TERM",
    "MÜLLER & SÖHNE": "TERM",
    "Mu\u0308ller & So\u0308hne": "TERM",
    "项目": "TERM",
}
PLAIN = [
    "2026-05-11, 11.05.2026, 05/11/2026 10:30, 20260511, from 08:00-17:00, 2019-2024",
    "order 2024-00123, ticket #4512345678, invoice 4512345678901, SKU 00012345",
    "1.299,00 EUR, 12,500.50, $1,234,567.89, 2 000 000, 100 200 300, 0,99",
    "version 1.2.3.4 at 10.0.0.12, 16 digits that are no card: 1234 5678 9012 3456",
    "no IBAN: GB82WEST12345698765433, no country: XY82WEST12345698765432",
    "bluefalconer, Blue Falcons, @handle, user@localhost, a @ b",
    "",
]


@pytest.mark.parametrize(("value", "kind"), PERSONAL.items())
def test_what_identifies_is_replaced_and_comes_back(value: str, kind: str) -> None:
    text = f"Write to {value}, please: {value}."
    redacted = REDACTION.redact(text)
    assert redacted.text == f"Write to [{kind}_1], please: [{kind}_1]."
    assert redacted.restore(redacted.text) == text


@pytest.mark.parametrize("text", PLAIN)
def test_dates_orders_and_prices_stay(text: str) -> None:
    assert REDACTION.clean(text) == text


def test_labelled_numbers_lose_the_number_only() -> None:
    said = REDACTION.clean("Kontonummer: 1234567890, phone 5551234, my account number is 00123456")
    assert said == "Kontonummer: [ACCOUNT_1], phone [PHONE_1], my account number is [ACCOUNT_2]"


def test_one_value_one_placeholder_over_many_texts_of_a_document() -> None:
    placeholders = Placeholders()
    first = REDACTION.redact("a@b.co and c@d.co", placeholders)
    second = REDACTION.redact("C@D.co, then e@f.co", placeholders)
    assert (first.text, second.text) == ("[EMAIL_1] and [EMAIL_2]", "[EMAIL_2], then [EMAIL_3]")
    assert second.restore("[EMAIL_2], then") == "C@D.co, then"


def test_a_forged_placeholder_stands_for_nothing() -> None:
    text = "I typed [EMAIL_1] and [email_3] myself; a@b.co c@d.co is real."
    redacted = REDACTION.redact(text)
    assert redacted.text == "I typed [EMAIL_1] and [email_3] myself; [EMAIL_2] [EMAIL_4] is real."
    assert redacted.restore("I typed [EMAIL_1] and") == "I typed [EMAIL_1] and"
    assert redacted.restore("never said, but [EMAIL_1] or [EMAIL_2]") == "never said, but [EMAIL_1] or a@b.co"


def test_a_quote_that_ends_inside_a_placeholder_takes_the_value() -> None:
    redacted = REDACTION.redact("Call 01701234567 or mail a@b.co today.")
    assert redacted.restore("or mail [EMA") == "or mail a@b.co"
    assert redacted.restore("NE_1] or mail") == "01701234567 or mail"
    assert redacted.restore("[PHONE_1]") == "01701234567"


def test_a_quote_the_model_changed_keeps_what_can_be_placed() -> None:
    redacted = REDACTION.redact("Call 01701234567 or mail a@b.co & wait.")
    assert redacted.restore("CALL [phone_1] or") == "CALL 01701234567 or"
    assert redacted.restore("mail [EMAIL_1] &amp; wait.") == "mail a@b.co & wait."
    assert redacted.restore("changed words [EMA") == "changed words "


def test_the_nearest_of_equal_places_is_taken() -> None:
    redacted = REDACTION.redact("Write a@b.co now. Write A@B.CO now.")
    assert redacted.restore("Write [EMAIL_1] now.", near=20) == "Write A@B.CO now."


def test_nothing_is_found_across_an_edge() -> None:
    text = "415 555 2671"
    assert REDACTION.redact(text, edges=[7]).text == text
    assert REDACTION.clean(text) == "[PHONE_1]"


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(st.sampled_from([*PERSONAL, "word ", ". ", " 🙂 ", "[EMAIL_1]", " <b>&amp; "]), max_size=12),
    cut=st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_any_piece_comes_back_as_words_of_the_original(parts: list[str], cut: tuple[int, int]) -> None:
    text = " ".join(parts)
    redacted = REDACTION.redact(text)
    for value in set(PERSONAL) & set(parts):
        assert "@" not in value or value not in redacted.text
    assert redacted.restore(redacted.text) == text.strip() or redacted.restore(redacted.text) == text
    start, end = sorted(at % (len(redacted.text) + 1) for at in cut)
    assert redacted.restore(redacted.text[start:end], near=start) in text
    for at in range(len(text) + 1):
        assert 0 <= redacted.position(at) <= len(redacted.text)
    for at in range(len(redacted.text) + 1):
        assert 0 <= redacted.source_position(at) <= len(text)


def test_no_theme_is_named_after_a_placeholder() -> None:
    assert without_placeholders("mail [EMAIL_12] to [TERM_1]") == "mail … to …"


class Said(BaseModel):
    text: str


class Echo:
    """A model that says what it was shown."""

    model = "echo"

    def answer(self, prompt: Prompt, schema: type[Said]) -> Said:  # type: ignore[override]
        return schema(text=prompt.material)


def test_a_material_is_redacted_inside_its_envelopes_only() -> None:
    words = 'Mail <o\'brien@x.co> & call 01701234567 "now"'
    material = "\n".join(
        [envelope("turn", words, n="1", role="customer", speaker="O'Brien & Co", id="S-4k7m2qz9x1ab"),
         envelope("signal", "plain & <b>simple</b>", date="2026-05-11")]
    )  # fmt: skip
    seen = redacted_material(material, REDACTION)
    assert seen == (
        '<turn n="1" role="customer" speaker="[TERM_1] &amp; Co" id="S-4k7m2qz9x1ab">'
        'Mail &lt;[EMAIL_1]&gt; &amp; call [PHONE_1] "now"</turn>\n'
        '<signal date="2026-05-11">plain &amp; &lt;b&gt;simple&lt;/b&gt;</signal>'
    )
    assert redacted_material(seen, REDACTION) == seen


def test_a_wrapped_model_is_shown_no_value() -> None:
    model = RedactedText(Echo(), REDACTION)  # type: ignore[arg-type]
    said = model.answer(Prompt("p", 1, "instructions", envelope("turn", "a@b.co")), Said)
    assert said.text == "<turn>[EMAIL_1]</turn>"
    assert redaction_of(model) == REDACTION
    assert redaction_of(Echo()) is None
