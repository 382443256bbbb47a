"""The server: SPARQL over HTTP, linked data, stored queries and pages. `create_app` in `app` puts them together."""
