"""Find things by their names: accents, capitals and plurals do not matter, in French or English.

>>> index = Index([Name("urn:1", "Apprentissage fédéré", "fr"), Name("urn:2", "Réseaux de soins", "fr")])
>>> [hit.iri for hit in index.find("reseau SOIN")]
['urn:2']
>>> index.suggest("apprentisage")
['apprentissage']

Out of scope: synonyms that no graph states, and full text.
"""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

# Words that nobody looks for on their own.
_EMPTY: Final = frozenset(
    {"a", "an", "and", "au", "aux", "d", "de", "des", "du", "en", "et", "for", "from", "in", "l", "la", "le", "les",
     "of", "on", "ou", "par", "pour", "sur", "the", "to", "un", "une", "with"}
)  # fmt: skip
_WORD: Final = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Name:
    """One text by which a thing can be found. `weight` ranks kinds of names: a label before an identifier."""

    iri: str
    text: str
    lang: str = ""
    property: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A thing that was found, and the name that matched best."""

    iri: str
    name: Name
    score: float = field(compare=False)


def fold(text: str) -> str:
    """Return a text without accents, ligatures and capitals.

    >>> fold("Œdème Cérébral")
    'oedeme cerebral'
    """
    text = text.casefold().replace("œ", "oe").replace("æ", "ae")
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def singular(word: str) -> str:
    """Return a folded word without the mark of its plural; what comes back need not be a word.

    >>> [singular(word) for word in ("hopitaux", "reseaux", "studies", "study", "stress")]
    ['hopital', 'reseau', 'studie', 'studie', 'stress']
    """
    if len(word) > 4 and word.endswith("aux"):
        return word[:-1] if word.endswith("eaux") else word[:-3] + "al"
    if len(word) > 3 and word[-1] in "sx" and not word.endswith("ss"):
        return word[:-1]
    return word[:-1] + "ie" if len(word) > 3 and word.endswith("y") else word


def words(text: str) -> tuple[str, ...]:
    """Return the folded, singular words of a text."""
    return tuple(singular(word) for word in _WORD.findall(fold(text)))


class Index:
    """Names by their words. Built once for a version of the dataset, then only read."""

    def __init__(self, names: Iterable[Name]) -> None:
        self._names = tuple(names)
        self._folded = tuple(" ".join(words(name.text)) for name in self._names)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        self._spelling: dict[str, str] = {}
        for number, name in enumerate(self._names):
            for plain in dict.fromkeys(_WORD.findall(fold(name.text))):
                self._by_word[singular(plain)].append(number)
                self._spelling.setdefault(singular(plain), plain)

    def find(self, text: str) -> list[Hit]:
        """Return what has every word of the text in one of its names, best first, each thing once."""
        sought = [word for word in words(text) if word not in _EMPTY] or list(words(text))
        if not sought:
            return []
        scores: dict[int, float] | None = None
        for word in dict.fromkeys(sought):
            found = self._matches(word)
            if scores is not None:
                found = {number: score + scores[number] for number, score in found.items() if number in scores}
            scores = found
        best: dict[str, Hit] = {}
        whole = " ".join(words(text))
        for number, matched in (scores or {}).items():
            name, folded = self._names[number], self._folded[number]
            bonus = 20 if folded == whole else 4 if folded.startswith(whole) else 0
            # Of two names with the same words, the shorter says it more exactly.
            score = (matched + bonus - len(folded) / 400) * name.weight
            if name.iri not in best or score > best[name.iri].score:
                best[name.iri] = Hit(name.iri, name, score)
        return sorted(best.values(), key=lambda hit: (-hit.score, hit.name.text, hit.iri))

    def suggest(self, text: str, limit: int = 3) -> list[str]:
        """Return queries with the nearest known words, for a text that finds nothing."""
        options = []
        for word in words(text):
            if word in self._by_word or word in _EMPTY:
                options.append([self._spelling.get(word, word)])
            else:
                near = difflib.get_close_matches(word, self._by_word, n=limit, cutoff=0.7)
                options.append([self._spelling[other] for other in near])
        if not options or not all(options):
            return []
        longest = max(map(len, options))
        queries = [" ".join(choices[min(rank, len(choices) - 1)] for choices in options) for rank in range(longest)]
        return [query for query in dict.fromkeys(queries) if self.find(query)][:limit]

    def _matches(self, word: str) -> dict[int, float]:
        found: dict[int, float] = {}
        for known, numbers in self._by_word.items():
            if known == word:
                score = 4.0
            elif known.startswith(word):
                score = 2.0
            elif len(word) > 3 and word in known:
                score = 1.0
            else:
                continue
            for number in numbers:
                found[number] = max(score, found.get(number, 0))
        return found
