"""The workspace's own background texts in `knowledge/`: company, guardrails, personas, roadmap, rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.draft import file_title
from elmer_pipelines.documents.folders import Folder
from elmer_pipelines.documents.front_matter import split_front_matter
from elmer_pipelines.documents.guards import clean_value
from elmer_pipelines.errors import UnreadableDocument, WorkspaceError

KnowledgeKind = Literal["company", "guardrails", "personas", "roadmap", "rules", "other"]
_LARGEST = 1 << 20  # bytes: more than this is no background text but a document
_FOLDER = "knowledge/"
_WORDS: dict[str, KnowledgeKind] = {
    "company": "company", "about": "company", "context": "company", "mission": "company", "strategy": "company",
    "guardrail": "guardrails", "principles": "guardrails", "principle": "guardrails",
    "persona": "personas", "audience": "personas", "roadmap": "roadmap", "plan": "roadmap",
    "rule": "rules", "policy": "rules", "policies": "rules",
}  # fmt: skip


@dataclass(frozen=True)
class KnowledgeText:
    """A background text: its path relative to the workspace's folder, what it is about, its words."""

    path: str
    kind: KnowledgeKind
    title: str
    text: str


def read_knowledge(root: str) -> list[KnowledgeText]:
    """The Markdown and text files in `knowledge/`, in order of the path; blank ones are left out.

    Raises WorkspaceError when the folder is missing or a text can't be read: it holds for the whole workspace.
    """
    folder = Folder(root)
    texts = []
    for file in folder.files():
        hidden = any(part.startswith((".", "~$")) for part in file.path.split("/"))
        if not file.path.startswith(_FOLDER) or hidden or not file.path.lower().endswith((".md", ".markdown", ".txt")):
            continue
        if file.size > _LARGEST:
            raise WorkspaceError(
                f"{file.path} in {root} is larger than 1 MB. Shorten it, or move it out of knowledge/."
            )
        try:
            text = _text(file.path, folder.read(file, _LARGEST))
        except (UnreadableDocument, OSError) as error:
            raise WorkspaceError(f"{file.path} in {root} can't be read: {error} Save it as UTF-8 text.") from error
        if text.text:
            texts.append(text)
    return texts


def _text(path: str, data: bytes) -> KnowledgeText:
    front, body = split_front_matter(decode(path, data))
    heading = next((line.lstrip("# ").strip() for line in body.split("\n") if line.startswith("# ")), "")
    said = str(front.metadata.get("kind") or front.metadata.get("type") or "")
    title = front.title or clean_value(heading)[:300] or file_title(path)
    return KnowledgeText(path, _kind(said) or _kind(path[len(_FOLDER) :]) or "other", title, body.strip())


def _kind(words: str) -> KnowledgeKind | None:
    words = words.lower()
    exact = next((kind for kind in get_args(KnowledgeKind) if kind in words), None)
    return exact or next((kind for word, kind in _WORDS.items() if word in words), None)
