"""The embedded model: unit vectors for any text, the same everywhere, without noise or network."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from elmer_pipelines.models.german import is_german
from elmer_pipelines.models.local_embeddings import DIMENSIONS, MAX_CHARS, MODEL, LocalEmbeddings

HARD_TEXTS = ["", "   \n", "\x00", "\ud800 broken", "日本語のノートが消えた", "😀", "\u200b", "Der Export schlägt fehl"]


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_any_text_has_a_finite_unit_vector(text: str) -> None:
    vectors = LocalEmbeddings().embed([text])
    assert vectors.shape == (1, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[0]) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_give_no_rows() -> None:
    assert LocalEmbeddings().embed([]).shape == (0, DIMENSIONS)


def test_a_text_has_the_same_vector_alone_in_a_batch_and_in_any_thread() -> None:
    texts = [f"note {number} was lost when I went offline" * (number % 7 + 1) for number in range(60)]
    together = LocalEmbeddings().embed(texts)
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda text: LocalEmbeddings().embed([text])[0], texts))
    assert np.array_equal(together, np.stack(alone))


def test_blank_text_is_near_nothing_but_other_blank_text() -> None:
    blank, spaces, words = LocalEmbeddings().embed(["", "  ", "The export fails"])
    assert np.array_equal(blank, spaces)
    assert abs(blank @ words) < LocalEmbeddings().scale.unrelated


def test_like_texts_are_nearer_than_unlike_ones() -> None:
    model = LocalEmbeddings()
    one, same, other = model.embed(
        ["My notes disappear without a connection", "Notes vanish when there is no connection", "The invoice lacks VAT"]
    )
    assert one @ same > model.scale.unrelated > one @ other


def test_only_the_beginning_of_an_endless_text_counts() -> None:
    start = "word " * (MAX_CHARS // 5 + 1)
    first, second = LocalEmbeddings().embed([start + "tail", start + "other end"])
    assert np.array_equal(first, second)


def test_the_scale_is_in_order() -> None:
    scale = LocalEmbeddings().scale
    assert 0 < scale.unrelated < scale.link < scale.duplicate < 1


def test_loading_leaves_logging_alone_and_prints_nothing() -> None:
    code = (
        "import logging, warnings; warnings.simplefilter('error')\n"
        "from elmer_pipelines.models.local_embeddings import LocalEmbeddings\n"
        "LocalEmbeddings().embed(['hello'])\n"
        "root = logging.getLogger()\n"
        "assert root.handlers == [] and root.level == logging.WARNING, (root.handlers, root.level)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


DOUBLE = [
    "Seit der Umstellung stehen alle Wartungstermine doppelt im Kalender.",
    "Wieder ein doppelter Termin im Kalender!",
]
BILLS = ["Beim Export der Rechnungen fehlen die Positionen.", "Die exportierten Rechnungen haben keine Positionen."]


def test_german_texts_are_near_by_what_they_are_about_and_not_by_being_german() -> None:
    vectors = LocalEmbeddings().embed([*DOUBLE, *BILLS])
    alike = vectors @ vectors.T
    assert min(alike[0, 1], alike[2, 3]) > 0.3 > alike[:2, 2:].max()


def test_forms_and_compounds_of_a_german_word_are_near() -> None:
    one, other, unlike = LocalEmbeddings().embed(
        ["Wo ist das Auftragsdatum?", "Die Aufträge sind weg", "Das Dach ist neu"]
    )
    assert one @ other > one @ unlike


@pytest.mark.parametrize(
    "text",
    [
        "The app will die in a war",
        "I'm happy now",
        "Export hat failed",
        "Any time",
        "Er, so was it fast?",
        "an in am so",
    ],
)
def test_english_texts_are_embedded_as_the_weights_have_it(text: str) -> None:
    assert not is_german(text)


def test_the_name_of_the_model_stands_for_these_very_vectors() -> None:
    """What changes a stored text's vector, a small word more among them, needs another name for the model."""
    vectors = LocalEmbeddings().embed([*DOUBLE, "My notes were lost"])
    assert MODEL == "local/wordllama-256-2"
    expected = [
        [-0.0593, 0.0216, -0.0395, -0.0466],
        [-0.0967, 0.0152, 0.0337, -0.0057],
        [0.0762, 0.1365, -0.0373, 0.0214],
    ]
    assert vectors[:, :4] == pytest.approx(np.array(expected), abs=1e-3)
