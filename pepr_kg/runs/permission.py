"""Whether a dataset may be used to evaluate a model: its conditions, one by one, in terms of DUO and DPV.

What no condition permits counts as refused, and so says the ontology of `pepr:Permission`; a dataset that states no
permission at all is told from one whose permissions are of something else. A condition that only a person can judge is
handed to one. The terms of DUO (Data Use Ontology) that permit are told from those that restrict.

>>> rule = judge(Condition("c", "Permission", f"{DUO}0000046"), Use(commercial=True), frozenset())
>>> rule.answer, rule.sentence["en"]
(<Answer.NO: 'no'>, 'Only non-commercial use is permitted, and this use is commercial.')
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pepr_kg.namespaces import PREFIXES, shrink

DUO: Final = PREFIXES["obo"] + "DUO_"
DPV: Final = "https://w3id.org/dpv#"

Text = Mapping[str, str]


class Answer(StrEnum):
    """What a condition says of a use; `ASK` leaves it to a person, or asks for something to be done; `UNSTATED`: nobody
    has said anything, and until somebody does the use counts as refused.
    """

    YES = "yes"
    NO = "no"
    ASK = "ask"
    UNSTATED = "not-stated"


@dataclass(frozen=True, slots=True)
class Use:
    """What data would be used for. Research without commercial aim is what is meant where nobody says otherwise.

    `methods`: to develop methods rather than to study health. `project`, `organisation` and `place` are IRIs.
    """

    commercial: bool = False
    for_profit: bool = False
    care: bool = False
    methods: bool = False
    project: str | None = None
    organisation: str | None = None
    place: str | None = None

    @property
    def purposes(self) -> frozenset[str]:
        """Return the purposes of DPV that this use is one of."""
        if self.care:
            return frozenset()
        kind = "CommercialResearch" if self.commercial else "NonCommercialResearch"
        names = ["ResearchAndDevelopment", "ScientificResearch", kind]
        return frozenset(DPV + name for name in (*names, *(() if self.for_profit else ("AcademicResearch",))))


@dataclass(frozen=True, slots=True)
class Condition:
    """An access condition: `kind` is Permission, Prohibition or Obligation, `term` of DUO, `purposes` of DPV."""

    iri: str
    kind: str
    term: str | None = None
    purposes: frozenset[str] = frozenset()
    limits: frozenset[str] = frozenset()
    text: Text | None = None


class Force(StrEnum):
    """What a condition can do: permit, restrict what others permit, or ask for something to be done."""

    PERMITS = "permits"
    RESTRICTS = "restricts"
    ASKS = "asks"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a condition says of a use, and a sentence in each language. A permission of something else refuses nothing,
    a restriction does.
    """

    condition: str
    answer: Answer
    sentence: Text
    force: Force

    @property
    def grants(self) -> bool:
        """Return whether it permits the use."""
        return self.force is Force.PERMITS and self.answer is Answer.YES

    @property
    def refuses(self) -> bool:
        """Return whether it stands against the use, whatever others permit."""
        return self.force is Force.RESTRICTS and self.answer is Answer.NO


Judged = tuple[Answer, str, str]  # the answer, and why in English and in French


def judge(condition: Condition, use: Use, about: frozenset[str]) -> Rule:
    """Return what a condition says of a use; `about` is what the model is about: diseases, organs, projects."""
    code = condition.term.removeprefix(DUO) if condition.term and condition.term.startswith(DUO) else None
    force = Force.PERMITS if condition.kind == "Permission" else Force.RESTRICTS
    if condition.kind == "Obligation":
        force = Force.ASKS
        answer, en, fr = _duty(condition, code)
    elif code in _GRANTS:
        answer, en, fr = _GRANTS[code](condition, use, about)
        if answer is Answer.YES and not _concerns(condition, use, about):
            answer, en, fr = Answer.NO, *_LIMITED_TO_OTHERS
        if condition.kind == "Prohibition":
            answer, en, fr = _turned(answer)
    elif code in _LIMITS:
        force = Force.RESTRICTS
        answer, en, fr = _LIMITS[code](condition, use, about)
    elif code in _DUTIES:
        force = Force.ASKS
        answer, en, fr = _duty(condition, code)
    else:
        answer, en, fr = _by_purpose(condition, use, about)
    return Rule(condition.iri, answer, {"en": en, "fr": fr}, force)


def decide(rules: Sequence[Rule]) -> Answer:
    """Return whether a use is permitted: some rule permits it and none refuses; `ASK` where a person must read the
    permission, `UNSTATED` where there is none.

    >>> decide([]), decide([Rule("c", Answer.NO, {}, Force.PERMITS)])
    (<Answer.UNSTATED: 'not-stated'>, <Answer.NO: 'no'>)
    """
    permits = {rule.answer for rule in rules if rule.force is Force.PERMITS}
    if any(rule.refuses for rule in rules) or permits == {Answer.NO}:
        return Answer.NO
    if not permits:
        return Answer.UNSTATED
    return Answer.YES if Answer.YES in permits else Answer.ASK


NOTHING_PERMITS: Final = {
    "en": "No condition of the dataset permits this use; what is not permitted is refused.",
    "fr": "Aucune condition du jeu de données ne permet cet usage ; ce qui n’est pas permis est refusé.",
}
NOTHING_STATED: Final = {
    "en": "The dataset does not state what it may be used for; until its holder does, this use counts as refused.",
    "fr": "Le jeu de données ne dit pas à quels usages il peut servir ; tant que son détenteur ne le dit pas, cet "
    "usage est réputé refusé.",
}
_FORBIDDEN: Final = ("A condition forbids this use.", "Une condition interdit cet usage.")
_NOT_CONCERNED: Final = (
    "What a condition forbids is not this use.",
    "Ce qu’une condition interdit n’est pas cet usage.",
)


def _turned(answer: Answer) -> Judged:
    """Return what it means that something is forbidden, where `answer` is what it would mean were it permitted."""
    return (Answer.NO, *_FORBIDDEN) if answer is Answer.YES else (Answer.YES, *_NOT_CONCERNED)


def _concerns(condition: Condition, use: Use, about: frozenset[str]) -> bool:
    """Return whether a condition is about this use: limited to nothing, or to something that it is about or within."""
    within = {use.project, use.organisation, use.place}
    return not condition.limits or bool(condition.limits & (about | within))


def _by_purpose(condition: Condition, use: Use, about: frozenset[str]) -> Judged:
    """Judge a condition without a term of DUO: by its purposes and by what it is limited to, else by a person."""
    if not condition.purposes and not condition.limits:
        shown, name = condition.text or {}, _name(condition)
        en, fr = (text.format(text=shown.get(lang, name)) for text, lang in zip(_TO_READ, ("en", "fr"), strict=True))
        return Answer.ASK, en, fr
    meant = _concerns(condition, use, about) and (not condition.purposes or bool(condition.purposes & use.purposes))
    if condition.kind == "Prohibition":
        return _turned(Answer.YES if meant else Answer.NO)
    return (Answer.YES, *_PURPOSE_PERMITTED) if meant else (Answer.NO, *_PURPOSE_OTHER)


_TO_READ: Final = (
    "A person must judge this condition: {text}",
    "Cette condition est à examiner par une personne : {text}",
)
_PURPOSE_PERMITTED: Final = ("This use is one of those permitted.", "Cet usage est l’un de ceux permis.")
_PURPOSE_OTHER: Final = ("Only other uses are permitted.", "Seuls d’autres usages sont permis.")
_LIMITED_TO_OTHERS: Final = (
    "What is permitted is limited to what this use is not about.",
    "Ce qui est permis se limite à ce dont cet usage ne relève pas.",
)


def _duty(condition: Condition, code: str | None) -> Judged:
    if code in _DUTIES:
        return Answer.ASK, *_DUTIES[code]
    shown = condition.text or {}
    name = _name(condition)
    return Answer.ASK, f"To be done: {shown.get('en', name)}", f"À faire : {shown.get('fr', name)}"


def _name(condition: Condition) -> str:
    iri = condition.term or condition.iri
    return shrink(iri) or iri


def _research(_: Condition, use: Use, __: frozenset[str]) -> Judged:
    if use.care:
        return (
            Answer.NO,
            "Research is permitted, and this use is care.",
            "La recherche est permise, et cet usage est un soin.",
        )
    return Answer.YES, "Research is permitted.", "La recherche est permise."


def _anything(_: Condition, __: Use, ___: frozenset[str]) -> Judged:
    return Answer.YES, "Use is not restricted.", "L’usage n’est pas restreint."


def _disease(condition: Condition, use: Use, about: frozenset[str]) -> Judged:
    named = ", ".join(sorted(shrink(iri) or iri for iri in condition.limits)) or "-"
    if use.care or not condition.limits & about:
        return (
            Answer.NO,
            f"Only research on this is permitted: {named}. The model is not about it.",
            f"Seule la recherche à ce sujet est permise : {named}. Le modèle n’en traite pas.",
        )
    return Answer.YES, f"Research on {named} is permitted.", f"La recherche à ce sujet est permise : {named}."


def _care(_: Condition, use: Use, __: frozenset[str]) -> Judged:
    if use.care:
        return Answer.YES, "Use for care is permitted.", "L’usage pour le soin est permis."
    return (
        Answer.NO,
        "Use for care is permitted; evaluations are for research.",
        "L’usage pour le soin est permis ; les évaluations sont pour la recherche.",
    )


def _ancestry(_: Condition, __: Use, ___: frozenset[str]) -> Judged:
    return (
        Answer.NO,
        "Only studies of population origins or ancestry are permitted.",
        "Seules les études des origines ou de l’ascendance des populations sont permises.",
    )


def _no_methods(_: Condition, use: Use, __: frozenset[str]) -> Judged:
    if use.methods:
        return (
            Answer.NO,
            "Research on methods is excluded, and this use is for methods.",
            "La recherche sur les méthodes est exclue, et cet usage en est.",
        )
    return (
        Answer.YES,
        "Research on methods is excluded; this use is not for methods.",
        "La recherche sur les méthodes est exclue ; cet usage n’en est pas.",
    )


def _genetic(_: Condition, __: Use, ___: frozenset[str]) -> Judged:
    return Answer.NO, "Only genetic studies are permitted.", "Seules les études génétiques sont permises."


def _not_for_profit(_: Condition, use: Use, __: frozenset[str]) -> Judged:
    if use.for_profit:
        return (
            Answer.NO,
            "Only organisations that are not for profit may use it.",
            "Seules les organisations à but non lucratif peuvent s’en servir.",
        )
    return Answer.YES, "The organisation is not for profit.", "L’organisation est à but non lucratif."


def _non_commercial(_: Condition, use: Use, __: frozenset[str]) -> Judged:
    if use.commercial:
        return (
            Answer.NO,
            "Only non-commercial use is permitted, and this use is commercial.",
            "Seul l’usage non commercial est permis, et cet usage est commercial.",
        )
    return Answer.YES, "The use is not commercial.", "L’usage n’est pas commercial."


def _neither(condition: Condition, use: Use, about: frozenset[str]) -> Judged:
    first = _not_for_profit(condition, use, about)
    return first if first[0] is Answer.NO else _non_commercial(condition, use, about)


def _no_ancestry(_: Condition, __: Use, ___: frozenset[str]) -> Judged:
    return (
        Answer.YES,
        "Studies of population origins are excluded; this use is none.",
        "Les études des origines des populations sont exclues ; cet usage n’en est pas une.",
    )


def _within(kind: str) -> Callable[[Condition, Use, frozenset[str]], Judged]:
    """Return the judgement of a restriction to a project, an organisation or a place."""
    en, fr = _WITHIN[kind]

    def judged(condition: Condition, use: Use, about: frozenset[str]) -> Judged:
        own = getattr(use, kind)
        meant = (about if kind == "project" else frozenset[str]()) | ({own} if own else set())
        named = ", ".join(sorted(shrink(iri) or iri for iri in condition.limits)) or "-"
        if condition.limits & meant:
            return Answer.YES, f"This use is {en}: {named}.", f"Cet usage est {fr} : {named}."
        answer = Answer.ASK if not meant or not condition.limits else Answer.NO
        return answer, f"Only use {en} is permitted: {named}.", f"Seul l’usage {fr} est permis : {named}."

    return judged


_WITHIN: Final = {
    "project": ("within this project", "dans ce projet"),
    "organisation": ("by this organisation", "par cette organisation"),
    "place": ("in this place", "en ce lieu"),
}

# Codes of DUO: what permits, what restricts, what asks for something to be done.
_GRANTS: Final[Mapping[str | None, Callable[[Condition, Use, frozenset[str]], Judged]]] = {
    "0000004": _anything, "0000042": _research, "0000006": _research, "0000007": _disease, "0000011": _ancestry,
    "0000043": _care,
}  # fmt: skip
_LIMITS: Final[Mapping[str | None, Callable[[Condition, Use, frozenset[str]], Judged]]] = {
    "0000015": _no_methods, "0000016": _genetic, "0000018": _neither, "0000022": _within("place"),
    "0000027": _within("project"), "0000028": _within("organisation"), "0000044": _no_ancestry,
    "0000045": _not_for_profit, "0000046": _non_commercial,
}  # fmt: skip
_DUTIES: Final[Mapping[str | None, tuple[str, str]]] = {
    "0000012": (
        "Only certain kinds of research are permitted: a person must judge.",
        "Seules certaines recherches sont permises : c’est à une personne d’en juger.",
    ),
    "0000019": ("To be done: publish the results.", "À faire : publier les résultats."),
    "0000020": ("To be done: work with those who gave the data.", "À faire : collaborer avec qui a donné les données."),
    "0000021": ("To be done: obtain ethical approval.", "À faire : obtenir l’avis favorable d’un comité d’éthique."),
    "0000024": (
        "To be done: publish nothing before the date agreed.",
        "À faire : ne rien publier avant la date convenue.",
    ),
    "0000025": ("To be done: stop using it at the date agreed.", "À faire : cesser l’usage à la date convenue."),
    "0000026": (
        "Only approved users may use it: a person must judge.",
        "Seuls des utilisateurs agréés peuvent s’en servir : c’est à une personne d’en juger.",
    ),
    "0000029": (
        "To be done: give the results back to the holder.",
        "À faire : restituer les résultats au détenteur.",
    ),
}
