"""One frozen `Settings`: each field with its default and a sentence in both languages.

A field is set by the environment (`PEPR_KG_` and its name in capitals), by a
command-line option where there is one, or by the caller.

>>> Settings.from_environment({"PEPR_KG_PORT": "8123"}).port
8123
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from pepr_kg.errors import BadSetting

ENVIRONMENT_PREFIX: Final = "PEPR_KG_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be chosen when the program starts. All bounds of the server are here."""

    data_dir: Path = field(default=Path("data"), metadata={
        "en": "Folder of the dataset.", "fr": "Dossier du jeu de données."})
    host: str = field(default="127.0.0.1", metadata={
        "en": "Address that the server listens on.", "fr": "Adresse d’écoute du serveur."})
    port: int = field(default=8000, metadata={
        "least": 0,
        "en": "Port that the server listens on.", "fr": "Port d’écoute du serveur."})
    query_seconds: float = field(default=10.0, metadata={
        "least": 0.1,
        "en": "Seconds after which a SPARQL query is stopped.",
        "fr": "Durée en secondes au bout de laquelle une requête SPARQL est arrêtée."})
    query_workers: int = field(default=2, metadata={
        "least": 1,
        "en": "Processes that answer SPARQL queries.",
        "fr": "Nombre de processus qui répondent aux requêtes SPARQL."})
    query_memory_bytes: int = field(default=4_000_000_000, metadata={
        "least": 500_000_000,
        "en": "Address space that one query process may take, in bytes.",
        "fr": "Espace d’adressage accordé à un processus de requête, en octets."})
    result_bytes: int = field(default=100_000_000, metadata={
        "least": 1_000,
        "en": "Largest answer of a SPARQL query, in bytes.",
        "fr": "Taille maximale de la réponse à une requête SPARQL, en octets."})
    request_bytes: int = field(default=1_000_000, metadata={
        "least": 1_000,
        "en": "Largest body of a request, in bytes.",
        "fr": "Taille maximale du corps d’une requête HTTP, en octets."})
    binding_seconds: float = field(default=60.0, metadata={
        "least": 0.1,
        "en": "Seconds after which the query of a binding is stopped.",
        "fr": "Durée en secondes au bout de laquelle la requête d’une liaison est arrêtée."})
    resolved_bindings: int = field(default=10_000, metadata={
        "least": 0,
        "en": "Values used by a run that are each written in the graph; of more, the file of the run alone keeps the list.",
        "fr": "Nombre de valeurs employées par une évaluation qui sont écrites une à une dans le graphe ; au-delà, seul "
              "le fichier de l’évaluation en garde la liste."})
    run_wait_seconds: float = field(default=60.0, metadata={
        "least": 0.0,
        "en": "Seconds that a finished run waits for another writer before it gives up.",
        "fr": "Durée en secondes pendant laquelle une évaluation terminée attend un autre écrivain avant de renoncer."})
    evaluation_jobs: int = field(default=2, metadata={
        "least": 1,
        "en": "Evaluations asked for over HTTP that run at the same time.",
        "fr": "Nombre d’évaluations demandées par HTTP qui se font en même temps."})
    evaluation_queue: int = field(default=20, metadata={
        "least": 0,
        "en": "Evaluations asked for over HTTP that may wait for their turn.",
        "fr": "Nombre d’évaluations demandées par HTTP qui peuvent attendre leur tour."})
    evaluation_patients: int = field(default=100_000, metadata={
        "least": 1,
        "en": "Patients of one evaluation asked for over HTTP.",
        "fr": "Nombre de patients d’une évaluation demandée par HTTP."})
    evaluation_samples: int = field(default=10_000, metadata={
        "least": 1,
        "en": "Parameter draws of one evaluation asked for over HTTP.",
        "fr": "Nombre de tirages de paramètres d’une évaluation demandée par HTTP."})
    evaluation_points: int = field(default=10_000, metadata={
        "least": 1,
        "en": "Times (points and further times) of one evaluation asked for over HTTP.",
        "fr": "Nombre d’instants (points et instants ajoutés) d’une évaluation demandée par HTTP."})
    evaluation_scenarios: int = field(default=100, metadata={
        "least": 1,
        "en": "Scenarios of one evaluation asked for over HTTP.",
        "fr": "Nombre de scénarios d’une évaluation demandée par HTTP."})
    evaluation_figures: int = field(default=10_000_000, metadata={
        "least": 1,
        "en": "Times × draws × scenarios of one evaluation asked for over HTTP: what one patient needs in memory at once.",
        "fr": "Produit instants × tirages × scénarios d’une évaluation demandée par HTTP : ce qu’un patient occupe à la "
              "fois en mémoire."})
    evaluation_seconds: float = field(default=3600.0, metadata={
        "least": 1.0,
        "en": "Seconds after which an evaluation asked for over HTTP is stopped.",
        "fr": "Durée en secondes au bout de laquelle une évaluation demandée par HTTP est arrêtée."})
    fhir_resource_bytes: int = field(default=64_000_000, metadata={
        "least": 1_000,
        "en": "Largest single FHIR resource that is taken in, in bytes.",
        "fr": "Taille maximale d’une ressource FHIR prise en compte, en octets."})
    fhir_line_bytes: int = field(default=64_000_000, metadata={
        "least": 1_000,
        "en": "Longest line of NDJSON that is taken in, in bytes.",
        "fr": "Longueur maximale d’une ligne de NDJSON prise en compte, en octets."})
    fhir_depth: int = field(default=200, metadata={
        "least": 10,
        "en": "Objects and arrays that may be nested in one FHIR resource.",
        "fr": "Nombre de niveaux d’objets et de tableaux imbriqués dans une ressource FHIR."})
    fhir_gzip_ratio: int = field(default=200, metadata={
        "least": 2,
        "en": "How many times its size compressed FHIR data may expand to.",
        "fr": "Nombre de fois leur taille que des données FHIR compressées peuvent donner."})
    fhir_gzip_bytes: int = field(default=100_000_000_000, metadata={
        "least": 1_000,
        "en": "Bytes that one compressed file of FHIR data may expand to.",
        "fr": "Nombre d’octets qu’un fichier compressé de données FHIR peut donner."})
    fhir_request_bytes: int = field(default=500_000_000, metadata={
        "least": 1_000,
        "en": "Largest body of a request that brings FHIR data, in bytes.",
        "fr": "Taille maximale du corps d’une requête HTTP qui apporte des données FHIR, en octets."})
    page_size: int = field(default=50, metadata={
        "least": 1,
        "en": "Rows shown on one page before the link to the next.",
        "fr": "Nombre de lignes affichées par page."})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Return the settings that the environment asks for, defaults elsewhere.

        Raises `BadSetting` when a value is not of the field's kind.
        """
        environment = os.environ if environment is None else environment
        chosen: dict[str, Any] = {}
        for item in fields(cls):
            name = ENVIRONMENT_PREFIX + item.name.upper()
            if name in environment:
                kind = type(getattr(cls(), item.name))
                try:
                    value = kind(environment[name])
                    if not value >= item.metadata.get("least", value) or value == math.inf:
                        raise ValueError(value)
                except ValueError as error:
                    least = item.metadata.get("least")
                    expected = kind.__name__ + (f" >= {least}" if least is not None else "")
                    raise BadSetting(name=name, value=environment[name], expected=expected) from error
                chosen[item.name] = value
        return cls(**chosen)
