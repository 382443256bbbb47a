"""The failures of models in the graph: a branch of the tree in `pepr_kg.errors`, beside that of the evaluator.

    TwinError (ValueError)
    ├── ModelChanged           the file is not the one that was registered
    ├── ModelFileMissing (LookupError)
    ├── ModelMeaningBroken     what the graph says of a model cannot be used
    ├── ModelNotAdded
    └── ModelNotExported

>>> error = ModelNotAdded(name="glucose", detail={"en": "its licence is not known", "fr": "sa licence est inconnue"})
>>> error.message("fr")
'Le modèle glucose n’a pas été ajouté : sa licence est inconnue.'
"""

from pepr_kg.twin.errors import TwinError


class ModelChanged(TwinError):
    """A model's file is not the one that the graph describes. Fields: name, path, registered, found (digests)."""

    code, http_status = "model-changed", 409
    titles = {"en": "Model file changed", "fr": "Fichier de modèle modifié"}
    sentences = {
        "en": "The file of the model {name}, {path}, was changed after it was registered: its digest is {found}, and "
        "{registered} was registered. Put the registered file back, or register the new one: run pepr-kg model add "
        "with the same name, or pepr-kg build for a model that comes with the project.",
        "fr": "Le fichier du modèle {name}, {path}, a été modifié après son enregistrement : son empreinte est "
        "{found}, celle enregistrée {registered}. Remettez le fichier enregistré, ou enregistrez le nouveau : lancez "
        "pepr-kg model add avec le même nom, ou pepr-kg build pour un modèle fourni avec le projet.",
    }


class ModelFileMissing(TwinError, LookupError):
    """A model is described in the graph and its file is not there. Fields: name, path."""

    code, http_status = "model-file-missing", 404
    titles = {"en": "Model file missing", "fr": "Fichier de modèle absent"}
    sentences = {
        "en": "The graph describes the model {name}, but its file {path} is not there. Put it back, or add the model "
        "again with pepr-kg model add.",
        "fr": "Le graphe décrit le modèle {name}, mais son fichier {path} est absent. Remettez-le, ou ajoutez de "
        "nouveau le modèle avec pepr-kg model add.",
    }


class ModelMeaningBroken(TwinError):
    """What the graph says of a model cannot be used. Fields: name, focus (what it is said of), detail."""

    code = "model-meaning-broken"
    titles = {"en": "Model description not usable", "fr": "Description de modèle inutilisable"}
    sentences = {
        "en": "What the graph says of the model {name} cannot be used at {focus}: {detail}. Correct the description.",
        "fr": "Ce que le graphe dit du modèle {name} est inutilisable pour {focus} : {detail}. Corrigez la "
        "description.",
    }


def broken_by(name: str, focus: str, error: TwinError) -> ModelMeaningBroken:
    """Return the error of a description that the evaluator refuses, with its own sentence as the reason."""
    detail = {lang: error.message(lang).rstrip(".") for lang in error.sentences}
    return ModelMeaningBroken(name=name, focus=focus, detail=detail)


class ModelNotAdded(TwinError):
    """A model is not put in the graph. Fields: name, detail (a text for each language)."""

    code = "model-not-added"
    titles = {"en": "Model not added", "fr": "Modèle non ajouté"}
    sentences = {
        "en": "The model {name} was not added: {detail}.",
        "fr": "Le modèle {name} n’a pas été ajouté : {detail}.",
    }


class ModelNotExported(TwinError):
    """No archive can be made of a model. Fields: name, detail (a text for each language)."""

    code = "model-not-exported"
    titles = {"en": "Model not exported", "fr": "Modèle non exporté"}
    sentences = {
        "en": "No archive was made of the model {name}: {detail}.",
        "fr": "Aucune archive du modèle {name} n’a été faite : {detail}.",
    }
