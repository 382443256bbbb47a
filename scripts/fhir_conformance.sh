#!/bin/sh
# `make fhir-conformance`: what we write as FHIR JSON, judged by HL7's own validator (conformance/, from Maven Central).
set -eu
cd "$(dirname "$0")/.."
for tool in java mvn; do
  command -v "$tool" >/dev/null || { echo "$tool is needed: install Java 17 and Maven 3.8 or later." >&2; exit 2; }
done
mvn -q -B -Dstyle.color=never -f conformance/pom.xml compile
exec .venv/bin/python scripts/fhir_conformance.py "${1:-${PEPR_KG_SHARED:-../shared}/fhir}"
