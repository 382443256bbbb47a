"""Every failure that the product expects, as one tree.

Each error carries its fields, one HTTP status, one stable code and its sentence in
French and English; it also derives from the builtin that a Python caller would catch.

    PeprError
    ├── InternalError              a bug of ours: the log has it, the reader only a sentence
    ├── BadSetting (ValueError)
    ├── UnknownPrefix (ValueError)
    ├── ResourceMissing (LookupError)
    ├── MissingExtra (ImportError)
    ├── DataError (ValueError)
    │   ├── DataSyntaxError        file, line, column
    │   ├── UnknownFormat
    │   ├── DataUnreadable
    │   ├── UnsupportedData
    │   ├── GraphReserved
    │   ├── ValidationRefused      carries the report
    │   └── ReasoningFailed
    ├── DatasetError (OSError)
    │   ├── DatasetMissing
    │   ├── DatasetReadOnly
    │   ├── DatasetTooNew
    │   ├── DatasetDamaged
    │   └── DatasetLocked
    ├── QueryError (ValueError)
    │   ├── QuerySyntaxError       line, column
    │   ├── QueryFailed
    │   ├── UpdateRefused
    │   ├── ServiceRefused
    │   ├── QueryTimeout (TimeoutError)
    │   ├── QueryTooLarge
    │   ├── ServerBusy
    │   ├── UnknownQuestion        carries the nearest names
    │   ├── UnknownParameter
    │   ├── ParameterTypeError
    │   └── BadQuestion            a broken header in a .rq file
    └── RequestError (ValueError)
        ├── BadRequest
        ├── NotFound
        ├── NotAcceptable
        ├── MethodNotAllowed
        ├── UnsupportedMedia
        ├── RequestTooLarge
        └── PortInUse (OSError)

>>> str(UnknownPrefix(prefix="foo"))
'The prefix "foo" is not known here. Write the IRI in full, or use a prefix that the project declares.'
>>> UnknownPrefix(prefix="foo").title("fr")
'Préfixe inconnu'
"""

from collections.abc import Mapping
from typing import ClassVar


class PeprError(Exception):
    """The root. A subclass gives `titles`, `sentences` (templates of its fields), `code` and `http_status`."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    titles: ClassVar[Mapping[str, str]] = {"en": "Error", "fr": "Erreur"}
    sentences: ClassVar[Mapping[str, str]] = {"en": "{detail}", "fr": "{detail}"}

    def __init__(self, **details: object) -> None:
        self.details = details
        super().__init__(self.message("en"))

    def title(self, lang: str) -> str:
        """Return the kind of error in a few words."""
        return self.titles[lang]

    def message(self, lang: str) -> str:
        """Return the sentence that says what is wrong, where, and what to do.

        A field may hold one text for each language, as a mapping.
        """
        shown = {
            name: value.get(lang, value.get("en", "")) if isinstance(value, Mapping) else value
            for name, value in self.details.items()
        }
        return self._template(lang).format(**shown)

    def _template(self, lang: str) -> str:
        return self.sentences[lang]

    def __getattr__(self, name: str) -> object:
        details = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(name)

    def __reduce__(self) -> "tuple[object, ...]":
        # Errors cross process borders (workers): keyword arguments do not survive the default pickling.
        return _rebuild, (type(self), dict(self.details))


def _rebuild(kind: type[PeprError], details: dict[str, object]) -> PeprError:
    return kind(**details)


class InternalError(PeprError):
    """A bug of ours."""

    code, http_status = "internal-error", 500
    titles = {"en": "Internal error", "fr": "Erreur interne"}
    sentences = {
        "en": "Something went wrong on our side. The failure was logged; the request can be tried again.",
        "fr": "Une erreur s’est produite de notre côté. Elle a été journalisée ; vous pouvez réessayer.",
    }


class BadSetting(PeprError, ValueError):
    """A setting has a value that is not of its kind."""

    code, http_status = "bad-setting", 500
    titles = {"en": "Bad setting", "fr": "Réglage incorrect"}
    sentences = {
        "en": '{name} is "{value}", but a value of type {expected} was expected.',
        "fr": "{name} vaut « {value} », mais une valeur de type {expected} était attendue.",
    }


class UnknownPrefix(PeprError, ValueError):
    """A CURIE's prefix is none of ours."""

    code, http_status = "unknown-prefix", 400
    titles = {"en": "Unknown prefix", "fr": "Préfixe inconnu"}
    sentences = {
        "en": 'The prefix "{prefix}" is not known here. Write the IRI in full, or use a prefix that the project declares.',
        "fr": "Le préfixe « {prefix} » est inconnu ici. Écrivez l’IRI en entier ou employez un préfixe déclaré par le projet.",
    }


class ResourceMissing(PeprError, LookupError):
    """A file that ships with the program is not there."""

    code, http_status = "resource-missing", 500
    titles = {"en": "Missing file", "fr": "Fichier manquant"}
    sentences = {
        "en": "{name} is missing from this installation. Install pepr_kg again.",
        "fr": "{name} est absent de cette installation. Réinstallez pepr_kg.",
    }


class MissingExtra(PeprError, ImportError):
    """An optional part of the installation is needed."""

    code, http_status = "missing-extra", 501
    titles = {"en": "Optional part not installed", "fr": "Composant facultatif absent"}
    sentences = {
        "en": 'This needs the optional part "{extra}". Install it with: pip install "pepr_kg[{extra}]".',
        "fr": "Cette action demande le composant facultatif « {extra} ». Installez-le : pip install \"pepr_kg[{extra}]\".",
    }


class DataError(PeprError, ValueError):
    """Something is wrong with data that came in."""

    code, http_status = "data-error", 400
    titles = {"en": "Data error", "fr": "Données incorrectes"}


class DataSyntaxError(DataError):
    """An RDF file cannot be parsed. Fields: path, line, column, detail."""

    code = "data-syntax"
    titles = {"en": "Syntax error in the data", "fr": "Erreur de syntaxe dans les données"}
    sentences = {
        "en": "{path}, line {line}, column {column}: {detail}. Nothing was changed.",
        "fr": "{path}, ligne {line}, colonne {column} : {detail}. Rien n’a été modifié.",
    }


class UnknownFormat(DataError):
    """A file's ending names no RDF format that we read."""

    code, http_status = "unknown-format", 415
    titles = {"en": "Unknown format", "fr": "Format inconnu"}
    sentences = {
        "en": "{path}: this format is not read here. Use one of: {known}.",
        "fr": "{path} : ce format n’est pas lu ici. Formats acceptés : {known}.",
    }


class DataUnreadable(DataError):
    """A file is missing, is a folder, or may not be read."""

    code = "data-unreadable"
    titles = {"en": "File cannot be read", "fr": "Fichier illisible"}
    sentences = {
        "en": "{path} cannot be read ({detail}). Check the name and the permissions. Nothing was changed.",
        "fr": "{path} ne peut pas être lu ({detail}). Vérifiez le nom et les droits. Rien n’a été modifié.",
    }


class UnsupportedData(DataError):
    """A file holds something that is not taken in. Fields: path, detail."""

    code, http_status = "unsupported-data", 422
    titles = {"en": "Data not taken in", "fr": "Données non acceptées"}
    sentences = {
        "en": "{path}: {detail}. Nothing was changed.",
        "fr": "{path} : {detail}. Rien n’a été modifié.",
    }


class GraphReserved(DataError):
    """A graph that only a build writes. Field: graph."""

    code, http_status = "graph-reserved", 409
    titles = {"en": "Graph of the program", "fr": "Graphe du programme"}
    sentences = {
        "en": "{graph} is made from the program's own files and would lose what you load. Load into another graph, or edit those files.",
        "fr": "{graph} est fait des fichiers du programme et perdrait ce que vous y chargez. Chargez dans un autre graphe, ou modifiez ces fichiers.",
    }


class ValidationRefused(DataError):
    """A change does not satisfy the shapes. Fields: violations (a number), report."""

    code, http_status = "validation-refused", 422
    titles = {"en": "Refused by validation", "fr": "Refusé par la validation"}
    sentences = {
        "en": "The data was refused: {violations} violation(s) of the shapes. Nothing was changed.",
        "fr": "Les données ont été refusées : {violations} violation(s) des formes. Rien n’a été modifié.",
    }


class ReasoningFailed(DataError):
    """Java could not read the ontology, or stopped."""

    code, http_status = "reasoning-failed", 500
    titles = {"en": "Reasoning failed", "fr": "Échec du raisonnement"}
    sentences = {
        "en": "The reasoner could not read the ontology: {detail}",
        "fr": "Le raisonneur n’a pas pu lire l’ontologie : {detail}",
    }


class DatasetError(PeprError, OSError):
    """Something is wrong with the dataset's folder."""

    code, http_status = "dataset-error", 503
    titles = {"en": "Dataset error", "fr": "Problème de jeu de données"}

    def __str__(self) -> str:
        # OSError formats its own arguments; ours is the sentence.
        return self.message("en")


class DatasetMissing(DatasetError):
    """No dataset stands in the folder."""

    code = "dataset-missing"
    titles = {"en": "No dataset", "fr": "Aucun jeu de données"}
    sentences = {
        "en": "There is no dataset in {path}. Make one with: pepr-kg build --data {path}",
        "fr": "Il n’y a pas de jeu de données dans {path}. Créez-en un : pepr-kg build --data {path}",
    }


class DatasetReadOnly(DatasetError):
    """The folder cannot be written."""

    code = "dataset-read-only"
    titles = {"en": "Folder cannot be written", "fr": "Dossier en lecture seule"}
    sentences = {
        "en": "The folder {path} cannot be written ({detail}). Choose another with --data or change its permissions.",
        "fr": "Impossible d’écrire dans le dossier {path} ({detail}). Choisissez-en un autre avec --data ou changez ses droits.",
    }


class DatasetTooNew(DatasetError):
    """A newer version of the program wrote the dataset."""

    code = "dataset-too-new"
    titles = {"en": "Dataset of a newer version", "fr": "Jeu de données d’une version plus récente"}
    sentences = {
        "en": "The dataset in {path} was written in format {found}; this version reads format {known}. Upgrade pepr_kg, or build into another folder.",
        "fr": "Le jeu de données de {path} est au format {found} ; cette version lit le format {known}. Mettez pepr_kg à jour ou construisez dans un autre dossier.",
    }


class DatasetDamaged(DatasetError):
    """The folder holds something that is not a whole dataset."""

    code = "dataset-damaged"
    titles = {"en": "Damaged dataset", "fr": "Jeu de données endommagé"}
    sentences = {
        "en": "The dataset in {path} cannot be opened ({detail}). Move the folder aside, then: pepr-kg build --data {path}",
        "fr": "Le jeu de données de {path} ne s’ouvre pas ({detail}). Mettez le dossier de côté, puis : pepr-kg build --data {path}",
    }


class DatasetLocked(DatasetError):
    """Another process is writing."""

    code = "dataset-locked"
    titles = {"en": "Dataset being written", "fr": "Jeu de données en cours d’écriture"}
    sentences = {
        "en": "Another process is writing to {path}. Try again when it has finished.",
        "fr": "Un autre processus écrit dans {path}. Réessayez quand il aura terminé.",
    }


class QueryError(PeprError, ValueError):
    """Something is wrong with a question put to the graph."""

    code, http_status = "query-error", 400
    titles = {"en": "Query error", "fr": "Requête incorrecte"}


class QuerySyntaxError(QueryError):
    """SPARQL that cannot be parsed. Fields: line, column, detail."""

    code = "query-syntax"
    titles = {"en": "SPARQL syntax error", "fr": "Erreur de syntaxe SPARQL"}
    sentences = {
        "en": "SPARQL syntax error at line {line}, column {column}: {detail}.",
        "fr": "Erreur de syntaxe SPARQL, ligne {line}, colonne {column} : {detail}.",
    }


class QueryFailed(QueryError):
    """The engine could not evaluate the query."""

    code = "query-failed"
    titles = {"en": "Query failed", "fr": "Échec de la requête"}
    sentences = {
        "en": "The query could not be evaluated: {detail}.",
        "fr": "La requête n’a pas pu être évaluée : {detail}.",
    }


class UpdateRefused(QueryError):
    """An update was sent where only queries are answered."""

    code = "update-refused"
    titles = {"en": "Updates are not accepted here", "fr": "Mises à jour refusées ici"}
    sentences = {
        "en": "This address answers SPARQL queries only; it does not run updates. Load data with: pepr-kg load FILE",
        "fr": "Cette adresse ne répond qu’aux requêtes SPARQL de lecture. Chargez des données avec : pepr-kg load FICHIER",
    }


class ServiceRefused(QueryError):
    """A federated call was refused."""

    code, http_status = "service-refused", 403
    titles = {"en": "SERVICE is off", "fr": "SERVICE est désactivé"}
    sentences = {
        "en": "SERVICE is switched off here: this server does not call other servers. Run the query against each of them, or load their data.",
        "fr": "SERVICE est désactivé ici : ce serveur n’en appelle pas d’autres. Interrogez chacun d’eux ou chargez leurs données.",
    }


class QueryTimeout(QueryError, TimeoutError):
    """The query ran longer than it may. Field: seconds."""

    code, http_status = "query-timeout", 503
    titles = {"en": "Query stopped", "fr": "Requête arrêtée"}
    sentences = {
        "en": "The query was stopped after {seconds:g} s. Narrow it: name a class or a property, or add a LIMIT.",
        "fr": "La requête a été arrêtée après {seconds:g} s. Resserrez-la : nommez une classe ou une propriété, ou ajoutez LIMIT.",
    }

    def __str__(self) -> str:
        return self.message("en")


class QueryTooLarge(QueryError):
    """The answer or the memory of a query passes its bound. Field: limit."""

    code, http_status = "query-too-large", 413
    titles = {"en": "Answer too large", "fr": "Réponse trop volumineuse"}
    sentences = {
        "en": "The query passed the bound of {limit}. Ask for fewer rows with LIMIT and OFFSET.",
        "fr": "La requête dépasse la limite de {limit}. Demandez moins de lignes avec LIMIT et OFFSET.",
    }


class ServerBusy(QueryError):
    """All query processes are taken. Field: seconds waited."""

    code, http_status = "server-busy", 503
    titles = {"en": "Server busy", "fr": "Serveur occupé"}
    sentences = {
        "en": "All query processes have been busy for {seconds:g} s. Try again in a moment.",
        "fr": "Tous les processus de requête sont occupés depuis {seconds:g} s. Réessayez dans un instant.",
    }


class UnknownQuestion(QueryError, LookupError):
    """No stored query has this name. Fields: name, nearest (names)."""

    code, http_status = "unknown-question", 404
    titles = {"en": "Unknown query", "fr": "Requête inconnue"}
    sentences = {
        "en": 'There is no query named "{name}". Nearest names: {nearest}.',
        "fr": "Aucune requête ne s’appelle « {name} ». Noms les plus proches : {nearest}.",
    }


class UnknownParameter(QueryError):
    """A stored query has no such parameter. Fields: question, parameter, known."""

    code = "unknown-parameter"
    titles = {"en": "Unknown parameter", "fr": "Paramètre inconnu"}
    sentences = {
        "en": 'The query "{question}" has no parameter "{parameter}". It takes: {known}.',
        "fr": "La requête « {question} » n’a pas de paramètre « {parameter} ». Paramètres acceptés : {known}.",
    }


class ParameterTypeError(QueryError, TypeError):
    """A parameter's value is not of its type. Fields: parameter, value, expected."""

    code = "parameter-type"
    titles = {"en": "Wrong parameter", "fr": "Paramètre incorrect"}
    sentences = {
        "en": 'The parameter "{parameter}" is "{value}", but {expected} was expected.',
        "fr": "Le paramètre « {parameter} » vaut « {value} », mais il faut {expected}.",
    }


class BadQuestion(QueryError):
    """A `.rq` file's header is broken. Fields: path, line, detail."""

    code, http_status = "bad-question", 500
    titles = {"en": "Broken query header", "fr": "En-tête de requête incorrect"}
    sentences = {
        "en": "{path}, line {line}: {detail}.",
        "fr": "{path}, ligne {line} : {detail}.",
    }


class RequestError(PeprError, ValueError):
    """Something is wrong with an HTTP request."""

    code, http_status = "request-error", 400
    titles = {"en": "Bad request", "fr": "Requête HTTP incorrecte"}


class BadRequest(RequestError):
    """A request that cannot be understood. Field: detail (a text, or one for each language)."""

    code = "bad-request"


class NotFound(RequestError, LookupError):
    """Nothing has this address. Field: name."""

    code, http_status = "not-found", 404
    titles = {"en": "Not found", "fr": "Introuvable"}
    sentences = {
        "en": "{name} is not in the graph. Search for it, or check the address.",
        "fr": "{name} n’est pas dans le graphe. Cherchez-le ou vérifiez l’adresse.",
    }


class NotAcceptable(RequestError):
    """None of the formats asked for is offered. Field: offered."""

    code, http_status = "not-acceptable", 406
    titles = {"en": "No acceptable format", "fr": "Aucun format acceptable"}
    sentences = {
        "en": "None of the formats asked for is offered here. Offered: {offered}.",
        "fr": "Aucun des formats demandés n’est proposé ici. Formats proposés : {offered}.",
    }


class MethodNotAllowed(RequestError):
    """The HTTP method has no meaning here. Field: allowed."""

    code, http_status = "method-not-allowed", 405
    titles = {"en": "Method not allowed", "fr": "Méthode refusée"}
    sentences = {
        "en": "This address accepts {allowed} only.",
        "fr": "Cette adresse n’accepte que {allowed}.",
    }


class UnsupportedMedia(RequestError):
    """A body comes in a media type or charset that is not read. Fields: found, expected."""

    code, http_status = "unsupported-media", 415
    titles = {"en": "Unsupported media type", "fr": "Type de contenu non pris en charge"}
    sentences = {
        "en": 'The body has the type "{found}"; expected: {expected}.',
        "fr": "Le corps est de type « {found} » ; attendu : {expected}.",
    }


class RequestTooLarge(RequestError):
    """A body larger than allowed. Field: limit, in bytes."""

    code, http_status = "request-too-large", 413
    titles = {"en": "Request too large", "fr": "Requête trop volumineuse"}
    sentences = {
        "en": "The request is larger than {limit} bytes.",
        "fr": "La requête dépasse {limit} octets.",
    }


class PortInUse(RequestError, OSError):
    """The port is taken, or may not be opened. Fields: host, port, detail."""

    code, http_status = "port-in-use", 500
    titles = {"en": "Port not available", "fr": "Port indisponible"}
    sentences = {
        "en": "The server cannot listen on {host}:{port} ({detail}). Choose another port with --port.",
        "fr": "Le serveur ne peut pas écouter sur {host}:{port} ({detail}). Choisissez un autre port avec --port.",
    }

    def __str__(self) -> str:
        return self.message("en")
