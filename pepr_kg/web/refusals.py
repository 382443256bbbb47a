"""What the server refuses because of where a request comes from."""

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
