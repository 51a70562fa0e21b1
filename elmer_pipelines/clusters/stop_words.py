"""Words that say nothing about what a signal is about, in English and German. Terms are chosen in `themes.py`."""

from __future__ import annotations

_ENGLISH = """
a able about above across actually after again against ago all almost already also although always am an and another
any anybody anymore anyone anything anyway are aren't around as ask asked at away back basically be became because
been before behind being below best better between big bit both but by call came can can't cannot cause come comes
coming could couldn't day days did didn't do does doesn't doing don't done down during each either else end enough
especially etc even ever every everybody everyone everything exactly far feel feels few find first for from full get
gets getting give given go goes going gone gonna good got great had hadn't half happen happened happens hard has
hasn't hate have haven't having he he'd he'll he's hello help her here here's hers herself hey hi him himself his
honestly how however i i'd i'll i'm i've if im in instead into is isn't it it'd it'll it's its itself just keep keeps
kind knew know last later least less let let's like likely little ll long look looking lot lots love made mainly make
makes making many may maybe me mean means might mine more most mostly much must my myself near need needed needs never
new next nice no nobody none nor not nothing now of off often ok okay old on once one ones only onto or other others
otherwise our ours ourselves out over own part people perhaps please pretty probably put quite rather re really right
s said same saw say saying says see seem seems seen several shall she she'd she'll she's should shouldn't since so
some somebody somehow someone something sometimes somewhere soon sort still stuff such sure t take takes tell than
thank thanks that that's the their theirs them themselves then there there's these they they'd they'll they're they've
thing things think this those though thought through time times to today together told tomorrow too took totally
toward tried tries truly try trying two under unless until up upon us use used useful user users uses using usually
very via want wanted wants was wasn't way ways we we'd we'll we're we've week weeks well went were weren't what what's
whatever when whenever where whether which while who who's whole whom whose why will wish with within without won't
work working works worse would wouldn't wow yeah year years yes yesterday yet you you'd you'll you're you've your
yours yourself
"""
_GERMAN = """
ab aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim bin bis bisschen bist
bitte da dabei dadurch dafür damit danach dann das dass dein deine dem den denn der deren des deshalb die dies diese
diesem diesen dieser dieses doch dort du durch eben eher eigentlich ein eine einem einen einer eines einfach einmal er
erst es etwas euch euer eure finde für ganz gar geht gemacht gerade gern gerne gibt gut habe haben hast hat hatte
hätte hier hin ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins irgendwie ist ja jede jedem jeden jeder
jedes jedoch jetzt kam kann kannst kein keine keinem keinen keiner können könnte lassen leider los machen macht mal
man mehr mein meine meinem meinen meiner mich mir mit muss müssen musste nach nicht nichts nie niemand noch nun nur ob
oder oft ohne schon sehr sein seine seit selbst sich sie sind so sogar soll sollte sonst sowie über um und uns unser
unsere unserem unseren unserer unter viel viele vom von vor war wäre waren warum was weil weiter welche welcher wenn
wer werde werden wie wieder wir wird wirklich wo wollen worden wurde wurden würde würden zu zum zur zwar zwischen
"""
_NEGATIONS = """
can't cannot couldn't didn't doesn't don't isn't kein keine keinen lacks missing never nicht nie no not ohne unable
wasn't without won't
"""
STOP_WORDS = frozenset(_ENGLISH.split()) | frozenset(_GERMAN.split())
NEGATIONS = frozenset(_NEGATIONS.split())
