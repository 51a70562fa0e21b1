"""The local extractor on sentences written for it: what is kept, where, and what is read from the words."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from elmer_pipelines.documents.model import Document, Kind, Segment
from elmer_pipelines.errors import SettingsError
from elmer_pipelines.signals.local_extractor import LocalExtractor
from elmer_pipelines.signals.local_model import SHIPPED, LocalModel, load_weights
from elmer_pipelines.signals.local_training import fit, mark_feature, read_labelled
from elmer_pipelines.signals.local_training import main as train
from elmer_pipelines.signals.model import Quote

TALK: list[tuple[Kind, bool, str]] = [
    ("interview", True, "Every morning I delete duplicate appointments because the sync puts everything in twice."),
    ("interview", True, "I really need a way to export the report as a spreadsheet."),
    ("interview", True, "What I'd love is a reminder before the contract runs out."),
    ("interview", True, "Honestly, the search never finds the older invoices."),
    ("interview", True, "We keep a spreadsheet on the side because the totals are wrong."),
    ("interview", True, "It takes about two minutes until the list shows up, every day."),
    ("interview", True, "The new dashboard is great, I can see all open orders at a glance."),
    ("interview", True, "If I lose signal, the form is wiped and I have to start over."),
    ("interview", True, "There's no way to see who changed the price."),
    ("interview", True, "You should let me pause a seat over the winter."),
    ("interview", True, "I can't tell which of the two versions is the current one."),
    ("interview", True, "The approval step is confusing for new colleagues."),
    ("interview", True, "Scanning a receipt with the camera saves me an hour a week."),
    ("interview", False, "Thanks for having me."),
    ("interview", False, "Sure, go ahead."),
    ("interview", False, "I've lived in this town for eleven years."),
    ("interview", False, "My dog is barking, one second."),
    ("note", True, "She wants the price list on the phone."),
    ("interview", False, "Hmm, yes, exactly."),
    ("interview", False, "Let me get a coffee first."),
    ("interview", False, "What do you mean by that?"),
    ("interview", False, "We are six people in two cities."),
    ("interview", False, "It was raining the whole weekend."),
    ("interview", False, "Ottoline Fray, I'm the administrator for two other systems here."),
    ("ticket", True, "The app crashes as soon as I open the camera."),
    ("ticket", True, "Please add two-factor login for contractors."),
    ("ticket", True, "Is there a way to change the billing address?"),
    ("ticket", True, "Since the last update I cannot upload photos anymore."),
    ("ticket", True, "Our invoices were charged twice this month."),
    ("ticket", True, "How do I restore a deleted project?"),
    ("ticket", True, "Could guest accounts be limited to one site?"),
    ("ticket", False, "Hello team,"),
    ("ticket", False, "Kind regards, Anna"),
    ("ticket", False, "Sent from my phone"),
    ("ticket", False, "Looking forward to hearing from you."),
    ("chat", True, "can i get the old view back?? the new one hides my tasks"),
    ("chat", True, "export button does nothing when i click it"),
    ("chat", False, "ok thank you"),
    ("chat", False, "hi, quick one"),
    ("email", True, "I would pay for an hourly plan if you offered one."),
    ("email", True, "The notification e-mails arrive hours too late."),
    ("email", False, "On Tue, 4 Aug 2026 at 10:12, Support wrote:"),
    ("interview", True, "Der Kalender legt jeden Termin doppelt an."),
    ("interview", True, "Wir brauchen dringend eine Schnittstelle zur Buchhaltung."),
    ("interview", True, "Wenn kein Netz da ist, sind alle Eingaben verloren."),
    ("interview", True, "Es wäre schön, wenn man Touren als Vorlage speichern könnte."),
    ("interview", True, "Die Suche findet alte Aufträge nicht."),
    ("interview", True, "Die neue Übersicht gefällt mir sehr, das spart jeden Tag Zeit."),
    ("interview", True, "Ich muss die Werte jeden Abend von Hand übertragen."),
    ("interview", False, "Guten Morgen, schön dass es klappt."),
    ("interview", False, "Ich komme aus einem kleinen Dorf im Norden."),
    ("interview", False, "Ja, genau."),
    ("interview", False, "Mehr kann ich dazu nicht sagen."),
    ("note", True, "Der Inhaber möchte auf einen Blick sehen, was offen ist."),
    ("note", True, "Die Chefin will eine Warnung, bevor ein Vertrag ausläuft."),
    ("note", True, "Die Buchhaltung braucht einen Export je Filiale."),
    ("note", False, "Bitte bei Rückfragen nur vormittags anrufen."),
    ("interview", False, "Möchten Sie auch einen Kaffee?"),
    ("interview", False, "Wir sind elf Leute und zwei Lehrlinge."),
    ("ticket", True, "Beim Export fehlen die einzelnen Positionen."),
    ("ticket", True, "Die App stürzt beim Hochladen der Fotos ab."),
    ("ticket", True, "Wie kann ich einem Kollegen Leserechte geben?"),
    ("ticket", True, "Gibt es eine Möglichkeit, Rechnungen gesammelt zu drucken?"),
    ("ticket", True, "Die Anmeldung funktioniert seit gestern nicht mehr."),
    ("ticket", False, "Mit freundlichen Grüßen"),
    ("ticket", False, "Vielen Dank im Voraus!"),
    ("ticket", False, "Sehr geehrte Damen und Herren,"),
    ("chat", False, "hallo zusammen"),
]
_ENGLISH = 42  # so many of them; the rest is German
REVIEWS = [
    (True, "I can sync my recipes between all my devices."),
    (True, "Love that I can download lessons and listen offline."),
    (True, "The map view does not load my saved places."),
    (True, "Please add a sleep timer."),
    (True, "You can scan receipts and export them to a spreadsheet."),
    (True, "It crashes whenever I open it on my tablet."),
    (True, "I wish the calendar had a week view."),
    (False, "Great app!"),
    (False, "I love it."),
    (False, "Five stars."),
    (False, "Very easy to use."),
    (False, "Highly recommended to everyone!!!"),
    (False, "I hate it."),
    (False, "Thanks so much!"),
]


def document(text: str, kind: Kind = "interview", **metadata: object) -> Document:
    return Document("a.md", kind, "md", "", text, (Segment(0, len(text)),), metadata=metadata)


def one(text: str, kind: Kind = "interview", **metadata: object) -> Quote:
    [quote] = extractor().extract(document(text, kind, **metadata))
    return quote


def extractor() -> LocalExtractor:
    return LocalExtractor()


@pytest.mark.parametrize("language", ["en", "de"])
def test_talk_is_kept_or_dropped_as_a_person_would(language: str) -> None:
    rows = TALK[_ENGLISH:] if language == "de" else TALK[:_ENGLISH]
    answers = extractor().extract_many([document(text, kind) for kind, _, text in rows])
    wrong = [text for (_, kept, text), quotes in zip(rows, answers, strict=True) if bool(quotes) != kept]
    assert len(wrong) <= 0.15 * len(rows), wrong


def test_reviews_are_kept_where_they_name_a_feature_or_ask_for_one() -> None:
    answers = extractor().extract_many([document(text, "review") for _, text in REVIEWS])
    wrong = [text for (kept, text), quotes in zip(REVIEWS, answers, strict=True) if bool(quotes) != kept]
    assert len(wrong) <= 2, wrong


def test_quotes_are_at_their_exact_place_in_any_script() -> None:
    text = (
        "Hi 😀!\r\n- The e\u0301xport crashes, always. 👍🏽 同期ができないので困っています。写真も消えます。"
        "\n我需要离线模式。 Die App stürzt ab."
    )
    quotes = extractor().extract(document(text, "ticket"))
    assert len(quotes) >= 3
    for quote in quotes:
        assert quote.near is not None
        assert text[quote.near : quote.near + len(quote.words)] == quote.words


def test_only_customers_are_read() -> None:
    text = "Does the export crash when you open it? Yes, the export crashes every time I open it."
    cut = text.index(" Yes")
    segments = (Segment(0, cut, "Interviewer", is_customer=False), Segment(cut, len(text), "Ada"))
    [quote] = extractor().extract(Document("a", "interview", "md", "", text, segments))
    assert quote.words == text[cut + 1 :]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("The update deleted all my notes and nothing brings them back.", "critical"),
        ("Gestern sind alle Daten verloren gegangen.", "critical"),
        ("The export crashes when I add a photo.", "high"),
        ("The list of orders is slow and hard to read.", "medium"),
        ("It would be nice to have a dark theme.", "low"),
        ("I love how quickly the new board shows my team.", None),
        ("Payroll is blocked, the import stops at row 80 with no error message.", "high"),
        ("A temporary worker was able to see the files of other customers.", "critical"),
        ("The overview takes about thirty seconds to load.", "medium"),
        ("Works fine until the connection drops.", "medium"),
        ("Nur die neue Schrift gefällt mir nicht.", "medium"),
        ("A template for quotes would save us a whole day.", "medium"),
        ("Mit der neuen Ansicht sind wir doppelt so schnell fertig.", None),
        ("Seit dem Update kein einziger doppelter Eintrag mehr, danke!", None),
        ("Exporting takes only two minutes now, that is great.", None),
    ],
)
def test_severity_follows_the_words(text: str, severity: str | None) -> None:
    assert one(text).severity == severity


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("The upload fails every time I try.", "common"),
        ("Der Upload stürzt ständig ab.", "common"),
        ("Sometimes the upload fails without a word.", "occasional"),
        ("Manchmal stürzt der Upload einfach ab.", "occasional"),
        ("The upload rarely fails, but it is annoying.", "rare"),
        ("The upload of photos fails.", None),
    ],
)
def test_frequency_follows_the_words(text: str, frequency: str | None) -> None:
    assert one(text).frequency == frequency


@pytest.mark.parametrize(
    ("text", "metadata", "segment"),
    [
        ("The export fails.", {"plan": "Enterprise", "role": "admin"}, "enterprise admin"),
        ("The export fails.", {"segment": "free user", "plan": "Free"}, "free user"),
        ("The export fails.", {"role": ["not", "text"]}, None),
        ("I'm an admin and the export fails.", {}, "admin"),
        ("The export fails on the free plan.", {}, "free user"),
        ("I just started using it and the export fails.", {}, "new user"),
        ("Ich bin Disponentin und der Export stürzt ab.", {}, "disponentin"),
        ("The export fails.", {}, None),
    ],
)
def test_the_user_segment_is_what_they_or_the_metadata_say(
    text: str, metadata: dict[str, object], segment: str
) -> None:
    assert one(text, "ticket", **metadata).segment == segment


def test_interpretations_use_the_customers_own_words() -> None:
    assert (
        one("I wish I could sort the invoices by date.").interpretation == "Wants: “I could sort the invoices by date”."
    )
    trouble = one("The upload fails every time I try.").interpretation
    assert trouble is not None
    assert "“fails”" in trouble
    assert trouble.endswith("Says how often: “every time”.")
    assert "crash" not in (one("It never crashes, and I love the search for old notes.").interpretation or "")


def test_an_automatic_reply_says_nothing() -> None:
    text = "I am out of the office until Monday. In urgent cases please contact Ada."
    assert extractor().extract(document(text, "email")) == []


@pytest.mark.parametrize("text", ["Present: {}", "**Attendees:** {}", "Anwesend: {}", "Teilnehmerinnen: {}"])
def test_who_was_there_is_no_signal(text: str) -> None:
    names = (
        "Rowena Blythe (Dunmarrow Fire & Alarm), Anselm Corrigall (Brightmoor Lifts), nobody from support, can't come"
    )
    assert extractor().extract(document(text.format(names), "note")) == []


def test_what_a_transcriber_adds_is_no_signal_but_stars_and_bullets_are() -> None:
    added = "*Recorded in a van, the sync of the recorder is lost. Rain on the roof, the app was never loud enough.*"
    assert extractor().extract(document(added)) == []
    for said in ("The app crashes every morning, not worth 5*", "* The app crashes every morning"):
        assert extractor().extract(document(said)), said


def test_empty_and_hostile_texts_give_nothing() -> None:
    local = extractor()
    for text in ("", "   \n", "!!! ??? ...", "\u200b\u200f", "12345 67890"):
        assert local.extract(document(text, "review")) == []


def test_many_at_once_is_the_same_as_one_by_one() -> None:
    local = extractor()
    documents = [document(text, kind) for kind, _, text in TALK] + [document(text, "review") for _, text in REVIEWS]
    assert local.extract_many(documents) == [local.extract(one_document) for one_document in documents]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(LocalExtractor().extract, documents)) == local.extract_many(documents)


def test_logic_tells_models_apart_and_is_stable() -> None:
    assert LocalExtractor().determinants == LocalExtractor("all").determinants
    assert LocalExtractor().determinants != LocalExtractor("without_eBay").determinants
    assert LocalExtractor().name == "local/elmer-signals-1"


def test_an_unknown_model_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="without_nothing"):
        LocalExtractor("without_nothing")
    broken = tmp_path / "w.npz"
    broken.write_bytes(b"not a zip")
    with pytest.raises(SettingsError, match=r"w\.npz"):
        LocalExtractor(weights=broken)


def test_shipped_weights_are_small_plain_arrays_with_a_held_out_model_each() -> None:
    weights = load_weights()
    assert SHIPPED.stat().st_size < 2_000_000
    assert set(weights.models) == {"all", *(f"without_{group}" for group in weights.groups)}
    assert len(weights.groups) == 4
    assert len(weights.digests) > 1_000


def test_feature_words_are_marked_as_a_run_or_one_by_one() -> None:
    assert mark_feature(["I", "take", "notes", "daily"], "take notes") == [False, True, True, False]
    assert mark_feature(["access", "the", "notes"], "access notes") == [True, False, True]
    assert mark_feature(["nothing"], "") == [False]


def test_training_is_deterministic_and_learns(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    things = ["export the invoices", "scan receipts", "sync my photos", "search old orders", "share a calendar"]
    dull = ["so good", "love it", "five stars", "not for me", "what a day"]
    rows = [(f"p{k % 3}", f"I can {t} here", t) for k, t in enumerate(things * 6)]
    rows += [(f"p{k % 3}", f"It is {t} here", "") for k, t in enumerate(dull * 6)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("content", "features", "app"), *((t, f, a) for a, t, f in rows)])
    columns = ("--text", "content", "--label", "features", "--group", "app")
    train([str(path), *columns, "--out", str(tmp_path / "a.npz")])
    first = load_weights(tmp_path / "a.npz")
    data = read_labelled(path, "content", "features", "app")
    again = fit(data, np.ones(len(data.texts), bool))
    assert np.array_equal(first.models["all"].stack, again.stack)
    assert np.array_equal(first.models["all"].letters, again.letters)
    assert first.groups_of("i can SCAN receipts  here")
    judged = LocalModel(first.models["without_p0"]).judge(["I can scan receipts here", "It is so good here"])
    assert judged[0].margin > 0 > judged[1].margin
    with pytest.raises(SettingsError, match="nowhere"):
        train([str(path), "--label", "nowhere", "--out", str(tmp_path / "c.npz")])
