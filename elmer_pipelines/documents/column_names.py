"""What columns are called in exports, in several languages, and how loosely a name is taken for one of these.

What the cells say about a column, and which column plays which part, is in columns.py.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Names as `words_of` gives them, without accents, in order of preference.
TEXT = (
    "review text", "review body", "review content", "content", "review", "text", "comment", "comments", "feedback",
    "verbatim", "message", "body", "description", "answer", "response", "transcript", "note", "notes", "quote",
    "sentence", "utterance", "details", "free text", "comment body", "message body", "plain body",
    "kommentar", "bewertung", "bewertungstext", "beschreibung", "nachricht", "rezension", "freitext", "ruckmeldung",
    "comentario", "resena", "opinion", "descripcion", "mensaje", "respuesta",
    "commentaire", "avis", "avis client", "reponse", "verbatim client",
    "commento", "recensione", "messaggio", "descrizione", "risposta",
    "opmerking", "beoordeling", "bericht", "omschrijving", "antwoord",
    "avaliacao", "mensagem", "descricao", "resposta", "opiniao", "opinia", "komentarz", "tresc", "отзыв", "комментарий",
    "コメント", "レビュー", "内容", "本文", "感想", "意見", "评论", "评价", "反馈", "留言", "리뷰", "댓글",
)  # fmt: skip
TEXT_WORDS = frozenset({"review", "text", "comment", "comments", "feedback", "verbatim", "message", "description"})
MORE_TEXT = ("pros", "cons", "likes", "dislikes", "suggestions", "improvements", "reason", "what happened")
OURS = (
    "reply", "agent reply", "support reply", "developer response", "developer reply", "company response",
    "response from owner", "resolution", "internal note", "internal notes", "agent notes", "agent response",
    "our answer", "our reply", "antwort des supports", "antwort vom support", "antwort des anbieters", "losung",
    "interne notiz", "reponse du support", "reponse de l editeur", "note interne", "respuesta del soporte",
    "respuesta del desarrollador", "nota interna", "risposta del supporto", "返信", "回复",
)  # fmt: skip
IDS = (
    "id", "review id", "ticket id", "message id", "response id", "feedback id", "comment id", "case id", "issue key",
    "ticket number", "case number", "ticket", "key", "uuid", "record id", "row id", "answer id", "submission id",
    "respondent id", "conversation id", "external id", "number", "reference", "ts", "ticket nr", "ticket no", "nr",
    "no", "nummer", "numero", "codigo", "codice", "kennung", "referenz", "番号", "编号", "번호",
)  # fmt: skip
GROUPS = ("conversation id", "thread id", "thread ts", "chat id", "session id", "call id", "conversation", "thread")
TITLES = (
    "subject", "title", "summary", "headline", "review title", "topic", "betreff", "titel", "thema", "uberschrift",
    "titre", "objet", "sujet", "asunto", "titulo", "oggetto", "titolo", "onderwerp", "assunto", "temat", "tytuł",
    "件名", "タイトル", "标题", "主题", "제목",
)  # fmt: skip
DATES = (
    "date", "created at", "created", "timestamp", "time", "submitted at", "review date", "posted at", "published at",
    "sent at", "updated at", "created date", "submission date", "at", "created utc", "start time", "started at",
    "opened at", "ts", "creation date", "created on", "created time", "submitted on", "submit date", "posted on",
    "date posted", "date created", "date time",
    "datum", "erstellt am", "erstellt", "erstelldatum", "eingang", "eingegangen am", "eingangsdatum", "zeitpunkt",
    "fecha", "fecha de creacion", "creado", "creado el", "date de creation", "cree le", "date de publication",
    "data", "data di creazione", "creato il", "data de criacao", "criado em", "aangemaakt op", "aangemaakt",
    "utworzono", "дата", "日付", "日時", "作成日", "作成日時", "投稿日", "日期", "时间", "创建时间", "날짜",
)  # fmt: skip
AUTHORS = (
    "author", "author name", "speaker", "user name", "username", "customer name", "customer", "name", "reviewer",
    "requester", "requester name", "from", "sender", "sender name", "user", "respondent", "full name", "participant",
    "reporter", "user real name", "display name", "reviewer name", "reviewer nickname", "nickname", "submitter",
    "submitted by", "created by", "posted by", "contact", "contact name",
    "kunde", "kundin", "kundenname", "verfasser", "autor", "absender", "ansprechpartner", "nutzer", "melder",
    "auteur", "client", "nom", "nom du client", "expediteur", "autore", "cliente", "nome", "mittente",
    "nombre", "nombre del cliente", "usuario", "remitente", "klant", "naam", "afzender", "utente", "klient",
    "автор", "имя", "投稿者", "氏名", "名前", "お名前", "ユーザー名", "作者", "用户", "姓名", "작성자", "이름",
)  # fmt: skip
ROLES = ("role", "author role", "author type", "sender type", "sender role", "speaker role", "user role", "from role")
KINDS = ("kind", "channel", "source type", "type", "source", "kanal", "canal", "canale", "kanaal")

# What a name may begin with without being about something else: `Ticket created at`, `survey.submitted_on`.
_SUBJECTS = frozenset(
    {
        "ticket", "case", "issue", "review", "conversation", "message", "feedback", "comment", "response", "survey",
        "submission", "record", "customer", "post", "the", "your", "attributes", "fields", "properties",
    }
)  # fmt: skip
_PERSON = frozenset(
    {
        "author", "reviewer", "requester", "speaker", "sender", "respondent", "customer", "client", "user", "contact",
        "participant", "reporter", "submitter", "interviewee", "caller", "kunde", "kunden", "verfasser", "autor",
        "auteur", "cliente",
    }
)  # fmt: skip
_NAMED = frozenset({"name", "nickname", "nick", "names"})
_FILLERS = frozenset({"what", "is", "your", "the", "of", "full", "display", "real", "and", "or", "des", "du", "del"})
_WHEN = frozenset(
    {"date", "time", "datetime", "timestamp", "created", "submitted", "submit", "posted", "published", "received"}
)
_OTHER_MOMENTS = frozenset(
    {
        "due", "closed", "resolved", "solved", "birth", "birthday", "updated", "modified", "renewal", "expiry",
        "expires", "deadline", "assigned", "reply", "replied", "replies", "seen", "signup", "end", "ended",
        "developer", "agent",
        "first", "frist", "fallig", "geburtsdatum", "geandert", "geschlossen", "gelost",
    }
)  # fmt: skip
_NUMBERED = frozenset({"id", "nr", "no", "number", "num", "key", "uuid", "guid", "reference", "ref", "code", "nummer"})
_OTHER_NUMBERS = frozenset(
    {"phone", "telefon", "tel", "mobile", "version", "zip", "postal", "account", "customer", "user", "app", "product"}
)
_PLACES = frozenset({"no", "nr", "number", "nummer", "numero", "row", "番号", "编号", "번호"})
_WHERE = frozenset({"link", "url", "permalink"})


def words_of(name: str) -> str:
    """`reviewID`, `Review id` and `review_id` are `review id`; `Ticket #` and `Ticket N°` are `ticket number`."""
    named = re.sub(r"#|№|\b[nN][°º]", " number ", name)
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", named)
    return " ".join(re.sub(r"[^\w?]+|_", " ", spaced.lower()).split())


@lru_cache(maxsize=4096)
def forms(name: str) -> list[str]:
    """The forms under which a name may be known, the strictest first.

    As it is, without accents, without what is in brackets, without the thing it is about in front.
    """
    bare = _folded(words_of(re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", name)))
    words = bare.split()
    while len(words) > 1 and words[0] in _SUBJECTS:
        words = words[1:]
    return list(
        dict.fromkeys(form for form in (words_of(name), _folded(words_of(name)), bare, " ".join(words)) if form)
    )


def _folded(words: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", plain) if plain.isascii() else unicodedata.normalize("NFKC", words)


def called(names: Sequence[str], wanted: Sequence[str], looseness: int = 4) -> Iterator[str]:
    """The names that are one of those wanted, a stricter form before a looser one, then in order of preference.

    `looseness` is how many of the forms count.
    """
    given: set[str] = set()
    known = [(name, forms(name)) for name in names]
    for level in range(looseness):
        by_form: dict[str, list[str]] = {}
        for name, own in known:
            if level < len(own):
                by_form.setdefault(own[level], []).append(name)
        for name in (name for one in wanted for name in by_form.get(one, ()) if name not in given):
            given.add(name)
            yield name


def names_a_moment(name: str) -> bool:
    """Whether a name speaks of when something was said: `Review Submit Date and Time`, not `Due date`."""
    words = _words(name)
    dated = bool(words & _WHEN) or any(word.endswith("datum") for word in words)
    return dated and not words & _OTHER_MOMENTS


def names_another_moment(name: str) -> bool:
    """Whether a name speaks of some other moment than when the words were said."""
    return bool(_words(name) & _OTHER_MOMENTS)


def names_a_person(name: str) -> bool:
    """Whether every word of a name is about who said it: `Author/User`, `What is your name?`."""
    words = _words(name)
    return bool(words & (_PERSON | _NAMED)) and words <= _PERSON | _NAMED | _FILLERS


def names_an_id(name: str) -> bool:
    """Whether a name ends like that of a number or key of the record itself, or of a link to it."""
    last = forms(name)[-1].split()[-1:]
    return bool(last) and (last[0] in _NUMBERED | _WHERE or last[0].endswith("nummer"))


def names_another_thing(name: str) -> bool:
    """Whether a name speaks of a thing that many records share: `Customer ID`, `App id`, `Phone number`."""
    return bool(_words(name) & _OTHER_NUMBERS)


def names_a_place(name: str) -> bool:
    """Whether a name may be that of a row's place in the table, which says nothing about the record."""
    return forms(name)[-1] in _PLACES


def _words(name: str) -> set[str]:
    return {word.strip("?") for form in forms(name)[:2] for word in form.split()} - {""}
