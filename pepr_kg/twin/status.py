"""How a lane ended, as a code and as a sentence in French and English.

>>> Status.NOT_FINITE.sentence("en")
'A value became infinite or undefined: the model leaves its domain with these parameters.'
"""

from enum import IntEnum


class Status(IntEnum):
    """0 is a prediction; every other code says why there is none, from `ended` on."""

    DONE = 0
    NOT_FINITE = 1
    STEP_LIMIT = 2
    STEP_TOO_SMALL = 3
    UNSOLVED = 4
    NOT_VALID = 5
    NOT_STEADY = 6
    NOT_CONSERVED = 7
    NOT_FITTED = 8
    NOT_COUPLED = 9
    NOT_RESTING = 10
    STIFF = 100  # given up by the explicit solver; nobody sees it, the stiff solver takes the lane over
    RUNNING = 101

    def sentence(self, lang: str) -> str:
        """Return what happened and what to do, in "en" or "fr"."""
        return _SENTENCES[self][lang]


_SENTENCES = {
    Status.DONE: {"en": "Evaluated.", "fr": "Évalué."},
    Status.NOT_FINITE: {
        "en": "A value became infinite or undefined: the model leaves its domain with these parameters.",
        "fr": "Une valeur est devenue infinie ou indéfinie : le modèle sort de son domaine avec ces paramètres.",
    },
    Status.STEP_LIMIT: {
        "en": "The solver used up its steps. Allow more with max_steps, ask for less accuracy, or check the parameters.",
        "fr": "Le solveur a épuisé ses pas. Augmentez max_steps, demandez moins de précision ou vérifiez les paramètres.",
    },
    Status.STEP_TOO_SMALL: {
        "en": "The step shrank to nothing: the solution has a singularity here, or the accuracy asked for cannot be had.",
        "fr": "Le pas est devenu nul : la solution est singulière ici ou la précision demandée est hors d’atteinte.",
    },
    Status.UNSOLVED: {
        "en": "The algebraic equations have no solution near these values.",
        "fr": "Les équations algébriques n’ont pas de solution près de ces valeurs.",
    },
    Status.NOT_VALID: {
        "en": "The model is not made for this patient: a value lies outside the range in which it was validated.",
        "fr": "Le modèle n’est pas fait pour ce patient : une valeur sort du domaine où il a été validé.",
    },
    Status.NOT_STEADY: {
        "en": "No steady or periodic state was reached within the bound.",
        "fr": "Aucun état stationnaire ou périodique n’a été atteint dans la limite fixée.",
    },
    Status.NOT_CONSERVED: {
        "en": "A quantity that must be conserved changed during an exchange between models.",
        "fr": "Une quantité qui doit être conservée a changé pendant un échange entre modèles.",
    },
    Status.NOT_FITTED: {
        "en": "The individual parameters could not be found: the optimisation did not converge.",
        "fr": "Les paramètres individuels n’ont pas pu être trouvés : l’optimisation n’a pas convergé.",
    },
    Status.NOT_COUPLED: {
        "en": "The exchange between the models did not settle: shorten the interval or loosen the tolerance.",
        "fr": "L’échange entre les modèles ne s’est pas stabilisé : réduisez l’intervalle ou relâchez la tolérance.",
    },
    Status.NOT_RESTING: {
        "en": "Events set one another off without end at one instant.",
        "fr": "Des événements se déclenchent sans fin les uns les autres au même instant.",
    },
    Status.STIFF: {"en": "Stiff: taken over by the stiff solver.", "fr": "Raide : repris par le solveur raide."},
    Status.RUNNING: {"en": "Not finished.", "fr": "Inachevé."},
}
