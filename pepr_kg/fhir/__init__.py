"""FHIR in and out: JSON and RDF in the styles of R4, R4B, R5 and R6; programme, cohorts and twins as FHIR."""
