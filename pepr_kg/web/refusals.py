"""What the server refuses because of where a request comes from, or because too many ask at once."""

from pepr_kg.errors import RequestError


class CrossSite(RequestError):
    """A page of another site asks for something that changes the state of this server. Field: origin."""

    code, http_status = "cross-site", 403
    titles = {"en": "Request from another site", "fr": "Requête d’un autre site"}
    sentences = {
        "en": "This address changes what the server does, and pages of other sites ({origin}) may not use it. Use it "
        "from a page of this server, or from a program.",
        "fr": "Cette adresse agit sur le serveur, et les pages d’autres sites ({origin}) ne peuvent pas s’en servir. "
        "Passez par une page de ce serveur ou par un programme.",
    }


class TooManyFollowers(RequestError):
    """As many connections follow jobs as may. Field: limit."""

    code, http_status = "too-many-followers", 503
    titles = {"en": "Too many connections", "fr": "Trop de connexions"}
    sentences = {
        "en": "{limit} connections follow evaluations already. Ask for the state at /jobs/ID now and then instead.",
        "fr": "{limit} connexions suivent déjà des évaluations. Demandez plutôt l’état de temps en temps à /jobs/ID.",
    }
