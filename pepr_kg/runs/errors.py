"""The failures of evaluations from the graph: a branch of the tree in `pepr_kg.errors`.

    RunError (ValueError)
    ├── UnknownCohort (LookupError)
    ├── UnknownEntity (LookupError)
    ├── UnknownDataset (LookupError)
    ├── BadBinding             a path that is none, a query that is no SELECT, one that runs too long
    ├── BadRequestField        a number in a question that cannot be
    ├── BadExpression          a scenario that cannot be read
    ├── UnknownScenario (LookupError)
    ├── NotAnswerable          a question that this model cannot answer
    ├── UnitUnknown            an output or a time whose unit nobody knows
    ├── RunCancelled
    ├── InputsChanging         the graph changes faster than it is computed
    ├── WorkersLost
    ├── UnknownRun (LookupError)
    ├── RunDamaged             a file of a run is not the one that it states
    └── NotWithdrawn

What concerns one patient alone (no observation, two at one time, a unit that does not convert) is no error but an
outcome: see `outcomes`.

>>> str(UnknownCohort(cohort="cohort:x"))
'There is no cohort cohort:x. Give the name, the short form or the IRI of a cohort of the graph, such as cohort:demo.'
"""

from pepr_kg.errors import PeprError


class RunError(PeprError, ValueError):
    """Something is wrong with what an evaluation from the graph was given."""

    code, http_status = "run-error", 422
    titles = {"en": "Not evaluated", "fr": "Évaluation impossible"}


class UnknownCohort(RunError, LookupError):
    """No cohort has this name. Field: cohort."""

    code, http_status = "unknown-cohort", 404
    titles = {"en": "Unknown cohort", "fr": "Cohorte inconnue"}
    sentences = {
        "en": "There is no cohort {cohort}. Give the name, the short form or the IRI of a cohort of the graph, such as "
        "cohort:demo.",
        "fr": "Il n’y a pas de cohorte {cohort}. Donnez le nom, la forme courte ou l’IRI d’une cohorte du graphe, "
        "telle que cohort:demo.",
    }


class UnknownEntity(RunError, LookupError):
    """An entity is named that the graph does not describe, or that is not in the cohort. Fields: entity, detail."""

    code, http_status = "unknown-entity", 404
    titles = {"en": "Unknown entity", "fr": "Entité inconnue"}
    sentences = {
        "en": "{entity} cannot be evaluated: {detail}. Give the IRI or the short form of a patient, such as "
        "patient:demo-0001.",
        "fr": "{entity} ne peut pas être évalué : {detail}. Donnez l’IRI ou la forme courte d’un patient, telle que "
        "patient:demo-0001.",
    }


class UnknownDataset(RunError, LookupError):
    """No dataset has this name. Field: dataset."""

    code, http_status = "unknown-dataset", 404
    titles = {"en": "Unknown dataset", "fr": "Jeu de données inconnu"}
    sentences = {
        "en": "The graph describes no dataset {dataset}. Give the IRI or the short form of a pepr:Dataset.",
        "fr": "Le graphe ne décrit aucun jeu de données {dataset}. Donnez l’IRI ou la forme courte d’un pepr:Dataset.",
    }


class BadBinding(RunError):
    """A binding that gives nothing to anybody. Fields: binding, symbol, detail (a text for each language)."""

    code = "bad-binding"
    titles = {"en": "Binding not usable", "fr": "Liaison inutilisable"}
    sentences = {
        "en": "The binding {binding} of {symbol} cannot be followed: {detail}.",
        "fr": "La liaison {binding} de {symbol} est inutilisable : {detail}.",
    }


class BadRequestField(RunError):
    """A part of a question that cannot be. Fields: field, value, detail (a text for each language)."""

    code = "bad-request-field"
    titles = {"en": "Question not possible", "fr": "Demande impossible"}
    sentences = {
        "en": "{field} is {value}: {detail}.",
        "fr": "{field} vaut {value} : {detail}.",
    }


class BadExpression(RunError):
    """A scenario that cannot be read. Fields: text, detail (a text for each language)."""

    code = "bad-expression"
    titles = {"en": "Scenario not readable", "fr": "Scénario illisible"}
    sentences = {
        "en": 'The scenario "{text}" cannot be evaluated: {detail}.',
        "fr": "Le scénario « {text} » ne peut pas être évalué : {detail}.",
    }


class UnknownScenario(RunError, LookupError):
    """The model declares no such scenario. Fields: name, model, known."""

    code, http_status = "unknown-scenario", 404
    titles = {"en": "Unknown scenario", "fr": "Scénario inconnu"}
    sentences = {
        "en": "The model {model} declares no scenario {name}. It declares: {known}. Or write what changes, as in "
        "dose*0.5.",
        "fr": "Le modèle {model} ne déclare aucun scénario {name}. Il déclare : {known}. Vous pouvez aussi écrire ce "
        "qui change, comme dose*0.5.",
    }


class NotAnswerable(RunError):
    """A question that this model cannot answer. Fields: model, detail (a text for each language)."""

    code = "not-answerable"
    titles = {"en": "Not answerable by this model", "fr": "Demande sans réponse par ce modèle"}
    sentences = {
        "en": "The model {model} cannot answer this: {detail}.",
        "fr": "Le modèle {model} ne peut pas répondre : {detail}.",
    }


class UnitUnknown(RunError):
    """A prediction without a unit is not written. Fields: model, symbols."""

    code = "unit-unknown"
    titles = {"en": "Unit not known", "fr": "Unité inconnue"}
    sentences = {
        "en": "The model {model} does not say the unit of {symbols}, and a prediction without a unit is not written. "
        "Add the unit to its file, or ask for other outputs.",
        "fr": "Le modèle {model} ne dit pas l’unité de {symbols}, et une prédiction sans unité n’est pas écrite. "
        "Ajoutez l’unité dans son fichier, ou demandez d’autres sorties.",
    }


class RunCancelled(RunError):
    """Somebody stopped it. Fields: done, total (patients)."""

    code, http_status = "run-cancelled", 409
    titles = {"en": "Evaluation cancelled", "fr": "Évaluation annulée"}
    sentences = {
        "en": "The evaluation was cancelled after {done} of {total} patients. Nothing was written to the graph; asked "
        "again, it goes on where it stopped.",
        "fr": "L’évaluation a été annulée après {done} patients sur {total}. Rien n’a été écrit dans le graphe ; "
        "redemandée, elle reprend là où elle s’est arrêtée.",
    }


class InputsChanging(RunError):
    """What is evaluated changed while it was computed, several times. Field: times."""

    code, http_status = "inputs-changing", 409
    titles = {"en": "Observations changing", "fr": "Observations en cours de modification"}
    sentences = {
        "en": "The observations or the model changed {times} times while they were evaluated. Nothing was written. Ask "
        "again when the dataset is at rest.",
        "fr": "Les observations ou le modèle ont changé {times} fois pendant l’évaluation. Rien n’a été écrit. "
        "Redemandez quand le jeu de données ne change plus.",
    }


class WorkersLost(RunError):
    """The processes or the cluster that computed are gone. Fields: where, detail."""

    code, http_status = "workers-lost", 503
    titles = {"en": "Workers lost", "fr": "Processus de calcul perdus"}
    sentences = {
        "en": "The workers of {where} are gone ({detail}). What they finished is kept: ask again.",
        "fr": "Les processus de calcul de {where} ont disparu ({detail}). Ce qu’ils ont terminé est gardé : "
        "redemandez.",
    }


class UnknownRun(RunError, LookupError):
    """No run has this name. Field: run."""

    code, http_status = "unknown-run", 404
    titles = {"en": "Unknown run", "fr": "Exécution inconnue"}
    sentences = {
        "en": "There is no run {run}. Give its identifier, such as 4c1fd0a29b7e6633, or evaluation:4c1fd0a29b7e6633.",
        "fr": "Il n’y a pas d’exécution {run}. Donnez son identifiant, tel que 4c1fd0a29b7e6633, ou "
        "evaluation:4c1fd0a29b7e6633.",
    }


class RunDamaged(RunError):
    """A file of a run is missing, or is not the one that it states. Fields: run, path, detail."""

    code, http_status = "run-damaged", 409
    titles = {"en": "Run damaged", "fr": "Exécution endommagée"}
    sentences = {
        "en": "The file {path} of the run {run} cannot be used: {detail}. Evaluate again.",
        "fr": "Le fichier {path} de l’exécution {run} est inutilisable : {detail}. Refaites l’évaluation.",
    }


class NotWithdrawn(RunError):
    """A run that does not hold any more, or that nothing has made stale. Fields: run, status."""

    code, http_status = "not-withdrawn", 409
    titles = {"en": "Not withdrawn", "fr": "Retrait impossible"}
    sentences = {
        "en": "The run {run} (status: {status}) was not withdrawn: it does not hold any more, or nothing behind it was "
        "corrected. Nothing was changed. Give a reason to withdraw one that holds.",
        "fr": "L’exécution {run} (état : {status}) n’a pas été retirée : elle ne vaut plus, ou rien de ce qu’elle "
        "emploie n’a été corrigé. Rien n’a été modifié. Donnez une raison pour en retirer une qui vaut encore.",
    }
