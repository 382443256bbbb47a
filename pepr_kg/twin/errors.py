"""The twin evaluator's failures: a branch of the tree in `pepr_kg.errors`.

Each leaf names what a user can act on: the model, the symbol, the patient, the row.

    TwinError (ValueError)
    ├── ModelUnreadable        not XML, not SBML, too large, entities
    ├── ModelUnsupported       a construct that is not evaluated here, by its name
    ├── ModelInvalid           a loop, an undefined symbol, an over-determined system
    ├── UnknownModel (LookupError)
    ├── UnknownSymbol (LookupError)
    ├── UnknownVariable (LookupError)  of an observation or a residual
    ├── UnknownUnit
    ├── UnitMismatch
    ├── MissingValue           a parameter without a value, for a patient
    ├── BadValue               a value that cannot be: out of bounds, not a number, an unknown category
    ├── BadTimes
    ├── BadScenario
    ├── BadObservation
    ├── BadDistribution
    ├── MissingDistribution    a model without priors or residual errors, where none are given
    ├── EmptyCohort
    ├── NotSteady              a model that reaches no steady or periodic state
    ├── BadLink                what two coupled models cannot exchange
    └── PredictionMisfit

>>> str(EmptyCohort())
'The cohort is empty: there is no patient to evaluate.'
"""

import difflib
from collections.abc import Iterable

from pepr_kg.errors import PeprError


def suggest(name: str, known: Iterable[str], count: int = 5) -> str:
    """Return the names that are nearest to one that is not known, as a list in a sentence; case does not count.

    >>> suggest("PCA", ["dose", "pca"])
    'pca'
    """
    names = list(known)
    spelt: dict[str, list[str]] = {}
    for item in names:
        spelt.setdefault(item.casefold(), []).append(item)
    near = [item for key in difflib.get_close_matches(name.casefold(), spelt, count, 0.4) for item in spelt[key]]
    return ", ".join(near[:count] or names[:count]) or "-"


class TwinError(PeprError, ValueError):
    """Something is wrong with what the evaluator was given."""

    code, http_status = "twin-error", 422
    titles = {"en": "Not evaluated", "fr": "Évaluation impossible"}


class EmptyCohort(TwinError):
    """There is no patient."""

    code = "empty-cohort"
    titles = {"en": "Empty cohort", "fr": "Cohorte vide"}
    sentences = {
        "en": "The cohort is empty: there is no patient to evaluate.",
        "fr": "La cohorte est vide : il n’y a aucun patient à évaluer.",
    }


class BadObservation(TwinError):
    """An observation that cannot be used. Fields: patient, symbol, row (from 1), detail (a text for each language)."""

    code = "bad-observation"
    titles = {"en": "Observation not usable", "fr": "Observation inutilisable"}
    sentences = {
        "en": "Row {row}, {symbol} of patient {patient}: {detail}. Correct or remove this observation.",
        "fr": "Ligne {row}, {symbol} du patient {patient} : {detail}. Corrigez ou retirez cette observation.",
    }


class UnknownVariable(TwinError, LookupError):
    """A variable is named that is not there. Fields: symbol, where (a text for each language), known."""

    code = "unknown-variable"
    titles = {"en": "Unknown variable", "fr": "Variable inconnue"}
    sentences = {
        "en": 'There is no variable "{symbol}" ({where}). Known: {known}.',
        "fr": "Il n’y a pas de variable « {symbol} » ({where}). Connues : {known}.",
    }


class BadDistribution(TwinError):
    """A prior or a residual whose figures make no distribution. Fields: symbol, detail (a text for each language)."""

    code = "bad-distribution"
    titles = {"en": "Impossible distribution", "fr": "Distribution impossible"}
    sentences = {
        "en": "The distribution of {symbol} is not usable: {detail}.",
        "fr": "La distribution de {symbol} est inutilisable : {detail}.",
    }


class MissingDistribution(TwinError):
    """Priors or residual errors are needed and there are none. Fields: model, detail (a text for each language)."""

    code = "missing-distribution"
    titles = {"en": "Missing distribution", "fr": "Distribution manquante"}
    sentences = {
        "en": "For the model {model} it is not known {detail}.",
        "fr": "Pour le modèle {model}, on ne sait pas {detail}.",
    }


class PredictionMisfit(TwinError):
    """A prediction function returned an array of another shape. Fields: found, expected."""

    code, http_status = "prediction-misfit", 500
    titles = {"en": "Prediction of a wrong shape", "fr": "Prédiction de forme incorrecte"}
    sentences = {
        "en": "The prediction function returned shape {found}; {expected} was expected (observation slots, lanes).",
        "fr": "La fonction de prédiction a rendu la forme {found} ; {expected} était attendue (observations, voies).",
    }


class ModelUnreadable(TwinError):
    """A file is not a model that can be read. Fields: model, detail."""

    code = "model-unreadable"
    titles = {"en": "Model cannot be read", "fr": "Modèle illisible"}
    sentences = {
        "en": "The model {model} cannot be read: {detail}.",
        "fr": "Le modèle {model} ne peut pas être lu : {detail}.",
    }


class ModelUnsupported(TwinError):
    """A model needs something that is not evaluated here. Fields: model, construct, detail."""

    code = "model-unsupported"
    titles = {"en": "Construct not supported", "fr": "Construction non prise en charge"}
    sentences = {
        "en": "The model {model} uses {construct}, which is not evaluated here: {detail}.",
        "fr": "Le modèle {model} emploie {construct}, qui n’est pas évalué ici : {detail}.",
    }


class ModelInvalid(TwinError):
    """A model contradicts itself or the rules of SBML. Fields: model, symbol, detail."""

    code = "model-invalid"
    titles = {"en": "Invalid model", "fr": "Modèle incorrect"}
    sentences = {
        "en": "The model {model} is invalid at {symbol}: {detail}.",
        "fr": "Le modèle {model} est incorrect, à {symbol} : {detail}.",
    }


class UnknownModel(TwinError, LookupError):
    """No built-in model and no file has this name. Fields: name, known."""

    code, http_status = "unknown-model", 404
    titles = {"en": "Unknown model", "fr": "Modèle inconnu"}
    sentences = {
        "en": 'There is no model "{name}", neither built in nor as a file. Nearest built-in models: {known}.',
        "fr": "Aucun modèle intégré ni aucun fichier ne s’appelle « {name} ». Modèles intégrés les plus proches : {known}.",
    }


class UnknownSymbol(TwinError, LookupError):
    """A model has no such symbol. Fields: model, symbol, known."""

    code = "unknown-symbol"
    titles = {"en": "Unknown symbol", "fr": "Symbole inconnu"}
    sentences = {
        "en": 'The model {model} has no symbol "{symbol}" here. Nearest names: {known}.',
        "fr": "Le modèle {model} n’a pas ici de symbole « {symbol} ». Noms les plus proches : {known}.",
    }


class UnknownUnit(TwinError):
    """A text is not a UCUM unit. Fields: unit, detail."""

    code = "unknown-unit"
    titles = {"en": "Unknown unit", "fr": "Unité inconnue"}
    sentences = {
        "en": '"{unit}" is not a UCUM unit: {detail}.',
        "fr": "« {unit} » n’est pas une unité UCUM : {detail}.",
    }


class UnitMismatch(TwinError):
    """A unit does not convert into another. Fields: found, expected, symbol, detail."""

    code = "unit-mismatch"
    titles = {"en": "Units do not match", "fr": "Unités incompatibles"}
    sentences = {
        "en": "{symbol}: {found} does not convert to {expected}: {detail}.",
        "fr": "{symbol} : {found} ne se convertit pas en {expected} : {detail}.",
    }


class MissingValue(TwinError):
    """A patient has no value for what the model needs. Fields: model, symbol, patient."""

    code = "missing-value"
    titles = {"en": "Missing value", "fr": "Valeur manquante"}
    sentences = {
        "en": "{model}: {symbol} has no value for patient {patient}. Supply it.",
        "fr": "{model} : {symbol} n’a pas de valeur pour le patient {patient}. Fournissez-la.",
    }


class BadValue(TwinError):
    """A value that cannot be. Fields: model, symbol, patient ("*" where it concerns them all), value, detail."""

    code = "bad-value"
    titles = {"en": "Value not accepted", "fr": "Valeur refusée"}
    sentences = {
        "en": "{model}: {symbol} is {value} for patient {patient}: {detail}.",
        "fr": "{model} : {symbol} vaut {value} pour le patient {patient} : {detail}.",
    }

    def _template(self, lang: str) -> str:
        if self.details.get("patient") != "*":
            return super()._template(lang)
        return "{model} : {symbol} ({value}) : {detail}." if lang == "fr" else "{model}: {symbol} ({value}): {detail}."


class BadTimes(TwinError):
    """Times that go backwards, lie before the start, or are no numbers. Fields: model, detail."""

    code = "bad-times"
    titles = {"en": "Times not accepted", "fr": "Instants refusés"}
    sentences = {
        "en": "{model}: the times are not accepted: {detail}.",
        "fr": "{model} : les instants sont refusés : {detail}.",
    }


class BadScenario(TwinError):
    """An intervention that cannot be made. Fields: symbol, detail."""

    code = "bad-scenario"
    titles = {"en": "Scenario not accepted", "fr": "Scénario refusé"}
    sentences = {
        "en": "The scenario is not accepted at {symbol}: {detail}.",
        "fr": "Le scénario est refusé à {symbol} : {detail}.",
    }


class BadLink(TwinError):
    """Two models cannot be coupled in this way. Fields: symbol (from → to), detail (a text for each language)."""

    code = "bad-link"
    titles = {"en": "Coupling not accepted", "fr": "Couplage refusé"}
    sentences = {
        "en": "The coupling is not accepted at {symbol}: {detail}.",
        "fr": "Le couplage est refusé à {symbol} : {detail}.",
    }


class NotSteady(TwinError):
    """A model reaches no steady or periodic state. Fields: model, patient, detail."""

    code = "not-steady"
    titles = {"en": "No steady state", "fr": "Pas d’état stationnaire"}
    sentences = {
        "en": "{model}: no steady or periodic state for patient {patient}: {detail}.",
        "fr": "{model} : pas d’état stationnaire ou périodique pour le patient {patient} : {detail}.",
    }
