"""What determines a step's results whatever the records are: prompts, models, rules, by the parts of its Determinants.

It is what Dagster's `code_version` says of an asset, so that the UI marks stale what a run would work anew. Nothing is
opened or asked for it. What the records add is in `demand.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, labelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from elmer_pipelines.artifacts.writing import Kind
    from elmer_pipelines.determinants import Part
    from elmer_pipelines.models.choosing import Purpose
    from elmer_pipelines.models.protocols import Answer, Prompt, TextModel
    from elmer_pipelines.settings import Settings


class _Named:
    """A text model of which only the name is wanted."""

    def __init__(self, model: str) -> None:
        self.model = model

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        raise AssertionError("nothing is asked here")


def logic_of(settings: Settings, step: str) -> Determinants:
    """The parts that are the same for every record and workspace. Raises KeyError for no step."""
    return Determinants(_LOGIC[step](settings))


def code_version(settings: Settings, step: str) -> str:
    """Those parts in words, and a hash of them: `prompt extract_signals v2, model claude-sonnet-5-5 #1f09ab3c`."""
    found = logic_of(settings, step)
    words = [f"{name} {part.label}" for name, part in found.parts.items() if part.label and len(part.label) < 40]
    return ", ".join([*words, f"#{found.fingerprint.removeprefix('v1:')[:8]}"]).replace(", #", " #")


def _model(settings: Settings, purpose: Purpose) -> TextModel | None:
    from elmer_pipelines.models.aliases import resolve
    from elmer_pipelines.models.naming import split_model

    provider, name = split_model(getattr(settings, f"model_{purpose}"))
    if provider == "openai":
        return _Named(name)
    return None if settings.anthropic_api_key is None else _Named(resolve(name)[0])


def _documents(_: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.documents.options import READER_VERSION

    return {"reader": labelled(READER_VERSION)}


def _signals(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.signals.claude_extractor import ClaudeExtractor
    from elmer_pipelines.signals.extraction import PLACING_VERSION
    from elmer_pipelines.signals.local_extractor import LocalExtractor

    model = _model(settings, "extract")
    extractor = LocalExtractor() if model is None else ClaudeExtractor(model)
    return {**extractor.determinants.parts, "placing": labelled(PLACING_VERSION)}


def _embeddings(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.models.choosing import embedding_model

    return {"model": labelled(embedding_model(settings).model)}


def _duplicates(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.models.choosing import embedding_model
    from elmer_pipelines.signals import duplicate_groups

    threshold = Determinants.of(threshold=embedding_model(settings).scale.duplicate).parts
    return {**_embeddings(settings), **threshold, "rules": labelled(duplicate_groups._VERSION)}


def _clusters(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.clusters import clustering

    return {**_embeddings(settings), "rules": labelled(clustering._GROUPING_VERSION)}


def _themes(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.clusters import theming
    from elmer_pipelines.clusters.theme_prompt import prompt_file

    model, rules = _model(settings, "generate"), {"rules": labelled(theming._VERSION)}
    if model is None:
        return {"model": labelled(theming._LOCAL), **rules}
    return {"prompt": prompt_file().determinant, "model": labelled(model.model), **rules}


def _trends(_: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.clusters import trending

    return {"rules": labelled(trending._VERSION)}


def _projects(_: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.projects import named

    return {"rules": labelled(named._LOGIC)}


def _classifications(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.models.choosing import embedding_model
    from elmer_pipelines.signals.classification import Judge

    embedder = embedding_model(settings)
    judge = Judge((), embedder.scale, embedder.model, _model(settings, "classify"), frozenset())
    of_records = {"projects", "telling_words"}
    return {name: part for name, part in judge.determinants.parts.items() if name not in of_records}


def _initiatives(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.models.choosing import embedding_model
    from elmer_pipelines.projects import initiatives

    scale = Determinants.of(scale=embedding_model(settings).scale.__dict__).parts
    return {**scale, "rules": labelled(initiatives._LOGIC)}


def _briefs(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.artifacts.briefs import BRIEF

    return _artifacts(settings, BRIEF)


def _prds(settings: Settings) -> Mapping[str, Part]:
    from elmer_pipelines.artifacts.prds import PRD

    return _artifacts(settings, PRD)


def _artifacts(settings: Settings, kind: Kind) -> Mapping[str, Part]:
    from elmer_pipelines.artifacts.writing import logic
    from elmer_pipelines.models.choosing import embedding_model

    return logic(kind, _model(settings, "generate"), embedding_model(settings).model)


_LOGIC = {
    "documents": _documents,
    "knowledge": lambda _: {},
    "signals": _signals,
    "signal_embeddings": _embeddings,
    "duplicate_signals": _duplicates,
    "signal_clusters": _clusters,
    "cluster_themes": _themes,
    "cluster_trends": _trends,
    "projects": _projects,
    "project_embeddings": _embeddings,
    "signal_classifications": _classifications,
    "initiatives": _initiatives,
    "research_briefs": _briefs,
    "prds": _prds,
}
