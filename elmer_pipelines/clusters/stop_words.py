"""Words that say nothing about what a signal is about, and small ones that tell how others are used: English, German.

Which phrases are counted is `phrases.py`, which make a name `naming.py`.
"""

from __future__ import annotations

from elmer_pipelines.models.german import SMALL_WORDS as GERMAN_WORDS

_ENGLISH = """
a able about above across actually after afternoon again against ago all almost already also although always am an and
another any anybody anymore anyone anything anyway april are aren't around as ask asked at august away back basically
be became because been before behind being below best better between big bit both but by call came can can't cannot
cause come comes coming could couldn't daily day days december did didn't do does doesn't doing don't done down during
each eight eighteen either eleven else end enough especially etc even evening ever every everybody everyone everything
exactly far february feel feels few fifteen fifty find first five for forty four fourteen friday from full get gets
getting give given go goes going gone gonna good got great guys had hadn't half happen happened happens hard has
hasn't hate have haven't having he he'd he'll he's hello help her here here's hers herself hey hi him himself his
honestly hour hours how however hundred i i'd i'll i'm i've if im in instead into is isn't it it'd it'll it's its
itself january july june just keep keeps kind knew know last later least less let let's like likely little ll long
look looking lot lots love made mainly make makes making many march may maybe me mean means might mine minute minutes
monday month months more morning most mostly much must my myself near need needed needs never new next nice night nine
nineteen no nobody none nor not nothing november now o'clock october of off often ok okay old on once one ones only
onto or other others otherwise our ours ourselves out over own part past people per perhaps please pretty probably put
quarter quite rather re really reason right s said same sat saturday saw say saying says second see seem seems seen
september seven seventeen several shall she she'd she'll she's should shouldn't since single sit six sixteen sixty so
some somebody somehow someone something sometimes somewhere soon sort stand still stuff such sunday sure t take takes
tell ten than thank thanks that that's the their theirs them themselves then there there's these they they'd they'll
they're they've thing things think third thirteen thirty this those though thought thousand three through thursday
time times to today together told tomorrow too took totally toward tried tries truly try trying tuesday twelve twenty
two under unless until up upon us use used useful user users uses using usually very via want wanted wants was wasn't
way ways we we'd we'll we're we've wednesday week weekly weeks well went were weren't what what's whatever when
whenever where whether which while who who's whole whom whose why will wish with within without won't work working
works worse would wouldn't wow yeah year years yes yesterday yet you you'd you'll you're you've your yours yourself
fifth first forty fourth midnight moment moments ninety noon seconds seventy sixth sixty tenth thousands twenty
"""
_GLUE = """
after against and as at before between by for from in into no not of off on onto or out over per since than to under up
via when while with within without
ab am an auf aus bei beim bis durch für gegen im in ins kein keine keinen mit nach nicht nie oder ohne seit statt trotz
über um und unter vom von vor wegen zu zum zur zwischen
"""
_LEFT_OUT = """
a an another any each every her his its my our own same some such that the their these this those your
dein deine dem den der des deren die das dies diese diesem diesen dieser dieses ein eine einem einen einer eines
ihr ihre ihrem ihren ihrer jede jedem jeden jeder jedes mein meine meinem meinen meiner sein seine unser unsere unserem
unseren unserer
"""
_BEFORE_VERBS = """
i you he she it we they who to can can't cannot could couldn't will won't would wouldn't should shouldn't must may might
don't doesn't didn't do does did please let let's never always just was were is are be been being has have had get gets
got not and then
"""
_ENDINGS = """
call calls day days end hour hours time times use used user users using way work working works
"""
_BEFORE_QUALITIES = "very so too really quite pretty super extremely how sehr ganz zu so echt wirklich"
STOP_WORDS = frozenset(_ENGLISH.split()) | GERMAN_WORDS
GLUE = frozenset(_GLUE.split())  # what may stand inside a name, between two words that mean something
LEFT_OUT = frozenset(_LEFT_OUT.split())  # what may stand there and is passed over, but for
ARTICLES = frozenset({"a", "an", "the"})  # these, which make a row of words a phrase
ENDINGS = frozenset(_ENDINGS.split())  # what says nothing alone, but something after a word that does: easy to use
GENITIVE = frozenset({"des", "eines"})  # the articles that may join two German nouns
HONORIFICS = frozenset({"mr", "mrs", "ms", "miss", "mister", "dr", "prof", "herr", "herrn", "frau"})
BEFORE_NOUNS = LEFT_OUT | {"no", "of", "for", "with", "without", "from", "via", "per", "in", "on"}
BEFORE_VERBS = frozenset(_BEFORE_VERBS.split())
LEADING = frozenset(_ENGLISH.split()) - GLUE - LEFT_OUT - frozenset(_BEFORE_VERBS.split())  # new, hard, user, use
BEFORE_QUALITIES = frozenset(_BEFORE_QUALITIES.split())
