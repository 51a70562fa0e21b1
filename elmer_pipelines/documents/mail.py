"""Saved mails (EML): what the sender wrote, the quoted mail below it as not theirs, the signature cut.

Attachments are named, not read.
"""

from __future__ import annotations

import re
from email import policy
from email.errors import MessageError
from email.parser import BytesParser
from email.utils import getaddresses
from typing import TYPE_CHECKING

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.draft import Draft, file_title, unique_names
from elmer_pipelines.documents.guards import broken, clean_text, clean_value, no_text
from elmer_pipelines.documents.html_text import text_of_html
from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.moments import parse_moment
from elmer_pipelines.documents.plain import find_segments
from elmer_pipelines.documents.voices import Voices

if TYPE_CHECKING:
    from email.message import EmailMessage

    from elmer_pipelines.documents.options import ReadingOptions

_OUR_BOXES = re.compile(
    r"(?:^|[.+_-])(?:support|help|helpdesk|no-?reply|do-?not-?reply|service|success|team|info|hello|sales|care|"
    r"notifications?|mailer-daemon|postmaster)(?:[.+_-]|$)"
)
_QUOTE_BEGINS = re.compile(
    r"^(?:On\b.{4,200}\bwrote:|Am\b.{4,200}\bschrieb.{0,80}:|Le\b.{4,200}\ba écrit ?:|El\b.{4,200}\bescribió:|"
    r"-{2,}[ \t]*(?:Original Message|Forwarded message|Ursprüngliche Nachricht)[ \t]*-{2,}|_{20,}|"
    r"(?:From|Von|De):[ \t].{1,200}\n(?:Sent|Date|Gesendet|To|An|Enviado|Envoyé)\b.{0,20}:)",
    re.MULTILINE,
)
_WRAPPED_WROTE = re.compile(r"^(On[^\n]{4,150})\n([^\n]{0,80}wrote:)$", re.MULTILINE)
_SIGNATURE = re.compile(
    r"^(?:--[ \t]?$|Sent from my\b|Von meinem .{1,30} gesendet|Get Outlook for\b|Enviado desde mi\b)", re.MULTILINE
)
_SIGN_OFF = re.compile(
    r"\n[ \t]*(?:(?:kind|best|warm|many)[ \t]+)?(?:regards|best|thanks|thank you|cheers|sincerely|yours|wishes|"
    r"all the best|viele grüße|mit freundlichen grüßen|liebe grüße|saludos|un saludo|cordialement|merci)\b"
    r"[^\n]{0,20}[,.!]?[ \t]*(?:\n[^\n]{0,60}){0,5}$",
    re.IGNORECASE,
)
_QUOTED_LINE = re.compile(r"[ \t]*>")


def read_mail(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of a mail.

    Raises UnreadableDocument: broken without any header, no_text without a text part.
    """
    try:
        message = BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(data)
        body = _body(path, message)
    except (MessageError, ValueError, LookupError, RecursionError, AttributeError, TypeError, IndexError) as error:
        raise broken(path, "a mail", error) from error
    if not message.keys():
        raise broken(path, "a mail", "it has no headers")
    senders = _people(message, "from")
    draft = Draft()
    _write(draft, body, senders[0] if senders else ("", ""))
    if not draft.segments:
        raise no_text(path)
    subject = clean_value(_header(message, "subject"))
    return [
        Document(
            address=path,
            kind="email",
            format="eml",
            title=subject[:300] or file_title(path),
            text=draft.text,
            segments=tuple(draft.segments),
            occurred_at=parse_moment(_header(message, "date")),
            people=unique_names([name for name, _ in (*senders, *_people(message, "to"), *_people(message, "cc"))]),
            metadata=_metadata(message, senders),
        )
    ]


def _header(message: EmailMessage, name: str) -> str:
    value = message.get(name)
    return "" if value is None else clean_text(str(value))


def _people(message: EmailMessage, header: str) -> list[tuple[str, str]]:
    """Names with addresses; an address stands in for a missing name."""
    found = getaddresses([_header(message, header)[:10_000]])
    return [(clean_value(name or address)[:80], address.lower()) for name, address in found if name or address]


def _metadata(message: EmailMessage, senders: list[tuple[str, str]]) -> dict[str, object]:
    attachments = [clean_value(part.get_filename() or part.get_content_type())[:120] for part in _attachments(message)]
    values = {
        "from": senders[0][1] if senders else "",
        "message_id": clean_value(_header(message, "message-id"))[:200],
        "attachments": attachments,
    }
    return {name: value for name, value in values.items() if value}


def _attachments(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if part.is_attachment()][:50]


def _body(path: str, message: EmailMessage) -> str:
    """The plain text part, else (also where that is blank) the HTML part as text."""
    for kind in ("plain", "html"):
        part = message.get_body(preferencelist=(kind,))
        payload = part.get_payload(decode=True) if part is not None else None
        if part is not None and isinstance(payload, bytes) and payload.strip():
            text = _in_charset(path, payload, part.get_content_charset())
            return text_of_html(text) if kind == "html" else text
    return ""


def _in_charset(path: str, payload: bytes, charset: str | None) -> str:
    try:
        text = payload.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(path, payload)
    return clean_text(text)


def _write(draft: Draft, body: str, sender: tuple[str, str]) -> None:
    """The sender's words as segments, then the quoted mail as words that are not the customer's."""
    name, address = sender
    customer = not _OUR_BOXES.search(address.split("@")[0]) and Voices().is_customer(name)
    body = _WRAPPED_WROTE.sub(r"\1 \2", body.strip())
    own, quoted = _split_quoted(body)
    cut = _SIGNATURE.search(own)
    own = (own[: cut.start()] if cut else own).rstrip()
    own = _SIGN_OFF.sub("", own).rstrip() or own
    found = find_segments(own, Voices()) if own else []
    said = [type(s)(**{**s.__dict__, "speaker": s.speaker or name or None, "is_customer": customer}) for s in found]
    draft.place(own, said)
    if quoted:
        draft.label("\n\n" if draft else "")
        draft.say(quoted, is_customer=False, heading="quoted mail")


def _split_quoted(body: str) -> tuple[str, str]:
    """What is written now, and the mail it answers. Quoted lines between the sender's own words stay with the quote."""
    begins = _QUOTE_BEGINS.search(body)
    own, quoted = (body[: begins.start()], body[begins.start() :]) if begins else (body, "")
    lines = own.split("\n")
    inline = [line for line in lines if _QUOTED_LINE.match(line)]
    own = "\n".join(line for line in lines if not _QUOTED_LINE.match(line))
    after = _after_quote(quoted)
    quoted = "\n".join([*inline, quoted[: len(quoted) - len(after)]]).strip()
    return f"{own.rstrip()}\n\n{after}".strip(), quoted


def _after_quote(quoted: str) -> str:
    """Words written below a quote whose lines are marked with `>`, as some people answer."""
    lines = quoted.split("\n")
    marked = [number for number, line in enumerate(lines) if _QUOTED_LINE.match(line)]
    return "\n".join(lines[marked[-1] + 1 :]) if marked else ""
