"""Packing to the limits, and the real SDK against the loopback server."""

from __future__ import annotations

import traceback
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.clients import PATIENT

from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.models.openai_embeddings import (
    MAX_INPUT_TOKENS,
    MAX_INPUTS,
    MAX_REQUEST_TOKENS,
    OpenAIEmbeddings,
    cut_to_tokens,
    pack,
)
from elmer_pipelines.models.protocols import SimilarityScale
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.model_server import ModelServer

KEY = "sk-never-shown-0123456789"


@pytest.fixture
def model(model_server: ModelServer) -> Iterator[OpenAIEmbeddings]:
    own = OpenAIEmbeddings(
        dimensions=256,
        api_key=KEY,
        base_url=model_server.openai_url,
        timeout=PATIENT,
        retrying=Retrying(sleep=lambda _: None),
    )
    yield own
    own.close()


@given(st.lists(st.integers(1, MAX_INPUT_TOKENS), max_size=200), st.integers(1, 30))
def test_packs_cover_everything_once_and_keep_the_limits(counts: list[int], times: int) -> None:
    counts = counts * times
    packs = pack(counts)
    assert [index for one in packs for index in one] == list(range(len(counts)))
    for one in packs:
        assert 1 <= len(one) <= MAX_INPUTS
        assert sum(counts[index] for index in one) <= MAX_REQUEST_TOKENS
    for one, following in pairwise(packs):  # no pack could have taken one more
        assert len(one) == MAX_INPUTS or sum(counts[i] for i in one) + counts[following.start] > MAX_REQUEST_TOKENS


def test_packing_of_known_sizes() -> None:
    assert pack([]) == []
    assert pack([1] * 2_049) == [range(2_048), range(2_048, 2_049)]
    assert pack([8_000] * 38) == [range(37), range(37, 38)]


@pytest.mark.parametrize(
    "text", ["short", "<|endoftext|> is just text", "word " * 9_000, "数据" * 9_000, "👩‍💻" * 4_000]
)
def test_long_texts_are_cut_by_tokens(text: str) -> None:
    head, tokens, cut = cut_to_tokens(text)
    assert text.startswith(head)
    assert tokens <= MAX_INPUT_TOKENS
    assert cut == (head != text)
    assert not cut or tokens > MAX_INPUT_TOKENS - 10


def test_vectors_come_in_order_and_have_length_one(model: OpenAIEmbeddings, model_server: ModelServer) -> None:
    texts = ["The export crashes", "Billing is confusing", "The export crashes again"]
    model_server.script("embeddings", "reversed")
    vectors = model.embed(texts)
    assert vectors.shape == (3, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[2] > 0.7 > vectors[0] @ vectors[1]
    assert np.array_equal(vectors[1], model.embed([texts[1]])[0])
    body = model_server.calls[0].body
    assert (body["encoding_format"], body["dimensions"], body["input"]) == ("base64", 256, texts)


def test_what_was_cut_is_recorded(model: OpenAIEmbeddings) -> None:
    (done,) = model.packs(["short words", "long words " * 9_000, "more words"])
    assert (done.span, done.cut) == (range(3), (1,))
    assert done.usage.input_tokens > MAX_INPUT_TOKENS
    assert done.request_id == "req_loopback"


def test_many_texts_go_in_few_requests(model: OpenAIEmbeddings, model_server: ModelServer) -> None:
    assert model.embed([f"text {number % 50}" for number in range(2_100)]).shape == (2_100, 256)
    assert [len(call.body["input"]) for call in model_server.calls] == [2_048, 52]


def test_nothing_is_nothing(model: OpenAIEmbeddings, model_server: ModelServer) -> None:
    assert model.embed([]).shape == (0, 256)
    with pytest.raises(ModelFault, match="Text 2 of 2") as caught:
        model.embed(["words", " \n"])
    assert not caught.value.retryable
    assert model_server.count() == 0


@pytest.mark.parametrize(
    "name",
    ["short", "wrong_size", "not_finite", "zero", "bad_base64", "same_index", "malformed", "html", "empty_object"],
)
def test_a_broken_answer_is_tried_again_and_then_a_fault(
    model: OpenAIEmbeddings, model_server: ModelServer, name: str
) -> None:
    model_server.script("embeddings", name)
    assert model.embed(["some words", "other words"]).shape == (2, 256)
    model_server.script("embeddings", *[name] * 4)
    with pytest.raises(ModelFault) as caught:
        model.embed(["some words", "other words"])
    assert (caught.value.kind, caught.value.retryable, model_server.count()) == ("bad_payload", True, 6)


@pytest.mark.parametrize(
    ("name", "kind", "calls"),
    [("auth", "auth", 1), ("quota", "quota", 1), ("invalid", "http_400", 1), ("rate_limit:3600", "rate_limit", 4)],
)
def test_refusals_have_their_kind(
    model: OpenAIEmbeddings, model_server: ModelServer, name: str, kind: str, calls: int
) -> None:
    model_server.script("embeddings", *[name] * calls)
    with pytest.raises(ModelFault) as caught:
        model.embed(["some words"])
    assert (caught.value.kind, model_server.count()) == (kind, calls)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))


def test_numbers_instead_of_base64_are_read(model: OpenAIEmbeddings, model_server: ModelServer) -> None:
    model_server.script("embeddings", "floats")
    assert np.allclose(model.embed(["some words"]), model.embed(["some words"]), atol=1e-6)


def test_the_key_of_the_vectors_tells_their_size() -> None:
    full = OpenAIEmbeddings(api_key=KEY)
    assert (full.model, full.dimensions) == ("text-embedding-3-small", 1_536)
    assert full.scale == SimilarityScale(0.75, 0.5, 0.9)
    small = OpenAIEmbeddings(dimensions=256, api_key=KEY)
    assert (small.model, small.service_model) == ("text-embedding-3-small@256", "text-embedding-3-small")
    assert KEY not in repr(small)
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        OpenAIEmbeddings(api_key="")
