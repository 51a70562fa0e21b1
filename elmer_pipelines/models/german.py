"""German words: which texts are German, which of their words say something, and words without their endings.

The local embeddings, whose word pieces are English, and the names of themes stand on it. No model, no vectors.
"""

from __future__ import annotations

import re
import unicodedata

# Vectors that are stored depend on what is below: with another word here, `local_embeddings.MODEL` needs another name.
_SMALL_WORDS = """
ab abend abends aber abgesehen acht achtzig alle allein allem allen aller allerdings alles als also am an ander andere
anderen anders anfang anfangs april auch auf august aus außer außerdem bald bei beide beiden beim bekomme bekommen
bereits besonders besser bestimmt bin binnen bis bisschen bist bitte bleiben bleibt bloß brauche brauchen braucht da
dabei dadurch dafür daher damit danach dann daran darauf daraus darf darin darum darunter darüber das dass dauernd
davon davor dazu dazwischen dein deine dem den denn der deren des deshalb dessen dezember dich die dienstag dies diese
dieselbe dieselben diesem diesen dieser dieses dir direkt doch donnerstag dort draußen drei dreimal dreißig drin
dritte dritten du durch dürfen eben eh ehe eher eigene eigenen eigentlich ein eine einem einen einer eines einfach
einmal elf ende endlich entweder er erst erste ersten erstmal es etwas euch euer eure euro fast februar finde freitag
früh früher fünf fünfzig für ganz ganze ganzen ganzes gar gebe geben gegen geh gehe gehen geht gemacht gemeint genau
genug gerade gern gerne gestern gewesen geworden gibt ging gleich gut gute guten habe haben halb halbe halben halt
hast hat hatte heute hier hin hinten hinter hundert hätte häufig höchstens ich ihm ihn ihnen ihr ihre ihrem ihren
ihrer ihrs im immer immerhin in indem innerhalb ins irgendwann irgendwas irgendwie irgendwo ist ja jahr jahre jahren
januar jede jedem jeden jeder jedes jedoch jemand jemanden jetzt juli juni kam kann kannst kaum kein keine keinem
keinen keiner kommen kommt komplett kurz können könnte lang lange lassen leider letzte letzten letzter leute lieber
los lässt machen machst macht mai mal man manchmal mehr mein meine meinem meinen meiner meist meistens mich mindestens
minute minuten mir mit mittag mittags mittwoch monat monate montag morgen morgens muss musste märz möchte möchten
möglich müssen nach nachdem nachmittag nacht nachts natürlich neben neulich neun neunzig nicht nichts nie niemand noch
november nun nur nächste nächsten nämlich ob oben oder oft ohne oktober paar plötzlich pro sag sage sagen sagt samstag
schnell schon sechs sechzig sehr sein seine seit sekunde sekunden selber selbst september sich sie sieben siebzig sind
so sobald sofern sofort sogar solange solche solchen soll sollen sollte sollten sondern sonntag sonst sowie sozusagen
später statt stets stunde stunden ständig tag tage tagen tausend teilweise trotz trotzdem uhr um umso und ungefähr uns
unser unsere unserem unseren unserer unten unter usw viel viele vielleicht vier vierzig vom von vor vorher vormittag
wann war waren warum was wegen weil weiter welche welcher wem wen wenig weniger wenigstens wenn wer werde werden
weshalb wessen wie wieder will wir wird wirklich wo woche wochen woher wohin wohl wollen wollte wollten worden wurde
wurden während wäre wären würde würden zehn zeit ziemlich zu zufällig zuletzt zum zumindest zunächst zur zurück
zusammen zwanzig zwar zwei zweimal zweite zweiten zwischen zwölf über
"""
_ENGLISH_TOO = "am an bin die fast hat im in los man oft pro so war was will also"
_ENGLISH = """
a about and are at be but by can for from get had has have he i if is it its me my no not of on or our she that the
their them there they this to was we when where which who with would you your
"""
SMALL_WORDS = frozenset(_SMALL_WORDS.split())
_TELLING = SMALL_WORDS - set(_ENGLISH_TOO.split())
_TELLING_ENGLISH = frozenset(_ENGLISH.split())
_UMLAUTS = frozenset("äöü")
_READ = 4_000  # characters: enough to know a language by
_WORD = re.compile(r"[^\W\d_][\w'’-]*\w|[^\W\d_]")
_PLAIN = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"})
_ENDINGS = ("en", "em", "es", "e", "n", "s")
_SHORTEST = 4  # letters that an ending has to leave


def words_of(text: str) -> list[str]:
    """The words of a text in any language, apostrophes made one."""
    return [match[0].replace("’", "'") for match in _WORD.finditer(unicodedata.normalize("NFC", text))]


def is_german(text: str) -> bool:
    """Whether a text's small words, and letters that English lacks, speak for German more than for English."""
    beginning = text[:_READ].casefold()
    if _UMLAUTS.isdisjoint(beginning) and _TELLING.isdisjoint(beginning.split()):
        return False  # nearly every English text, at a tenth of the work
    words = words_of(beginning)
    german = sum(word in _TELLING or not _UMLAUTS.isdisjoint(word) for word in words)
    return german > sum(word in _TELLING_ENGLISH for word in words)


def fold(word: str) -> str:
    """A German word without case, umlauts and what declension adds, about as Savoy's light stemmer (2006), not -er."""
    word = word.casefold().translate(_PLAIN)
    ending = next((one for one in _ENDINGS if word.endswith(one) and len(word) - len(one) >= _SHORTEST), "")
    return word.removesuffix(ending)
