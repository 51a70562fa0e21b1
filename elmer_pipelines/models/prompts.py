"""Prompt files (Markdown with YAML front matter), and the envelope customer text travels in (I10).

What the prompts say is in the folders of the steps that use them. Nothing here calls a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.determinants import labelled
from elmer_pipelines.errors import ModelFault, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.determinants import Part

MAX_ENVELOPE_CHARS = 400_000  # about 130,000 tokens: far above a window, far below a model's context
MAX_ATTRIBUTE_CHARS = 200
_FRONT_MATTER = re.compile(r"\A---\r?\n(?P<head>.*?)\r?\n---\r?\n(?P<body>.*)\Z", re.DOTALL)
_TAG = re.compile(r"[a-z][a-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class PromptFile:
    """Instructions as a file holds them; `name` and `version` are for people and the ledger."""

    name: str
    version: int
    instructions: str

    @property
    def determinant(self) -> Part:
        """The text as a part of what determines a result, under the name that people know it by."""
        return labelled(self.instructions, f"{self.name} v{self.version}")


def load_prompt(path: Path) -> PromptFile:
    """Read a prompt file. Raises SettingsError when the file, its name, its version or its text is missing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The prompt file {path.name} can't be read: {error}. Restore it from the package."
        ) from error
    found = _FRONT_MATTER.match(text)
    if not found:
        raise SettingsError(f"{path.name} has no front matter. Begin it with `---`, `name:`, `version:`, `---`.")
    head = _front_matter(found["head"], path.name)
    name, version, instructions = head.get("name"), head.get("version"), found["body"].strip()
    if not isinstance(name, str) or not name.strip():
        raise SettingsError(f"{path.name} has no name in its front matter. Add `name: a_short_name`.")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SettingsError(f"{path.name} has no version in its front matter. Add `version: 1`, a whole number.")
    if not instructions:
        raise SettingsError(f"{path.name} has no instructions below its front matter. Write them there.")
    return PromptFile(name.strip(), version, instructions)


def _front_matter(text: str, file_name: str) -> dict[str, Any]:
    import yaml

    try:
        head = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"The front matter of {file_name} is not YAML: {error}. Correct it.") from error
    if not isinstance(head, dict):
        raise SettingsError(f"The front matter of {file_name} is not a mapping. Write `name:` and `version:` lines.")
    return head


def envelope(tag: str, text: str, **attributes: str) -> str:
    """`<tag key="…">text</tag>` that the text can't leave: `&`, `<` and `>` in it become entities.

    The model sees the escaped text and may quote it so: whoever looks for its words in the source must also try them
    with entities undone (`signals/placing.py` does). Attributes become one line of at most 200 characters. Raises
    ModelFault (too_large) above 400,000 characters, ValueError on a tag or attribute name that is not a plain word.
    """
    for name in (tag, *attributes):
        if not _TAG.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain lower-case word: use one for tags and attributes.")
    if len(text) > MAX_ENVELOPE_CHARS:
        raise ModelFault(
            "too_large",
            f"A <{tag}> of {len(text):,} characters is over the limit of {MAX_ENVELOPE_CHARS:,}.",
            next_step="Send it in windows.",
            retryable=False,
        )
    labels = "".join(f' {name}="{_attribute(value)}"' for name, value in attributes.items())
    return f"<{tag}{labels}>{_escape(text)}</{tag}>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(value: str) -> str:
    line = _CONTROL.sub(" ", value)
    if len(line) > MAX_ATTRIBUTE_CHARS:
        line = line[: MAX_ATTRIBUTE_CHARS - 1] + "…"
    return _escape(line).replace('"', "&quot;").replace("'", "&#39;")
