#!/bin/sh
# Make a virtual environment, and say in a sentence what is missing where it cannot be made.
# usage: venv.sh PYTHON FOLDER
set -eu
python=$1 folder=$2
[ -x "$folder/bin/python" ] && "$folder/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
command -v "$python" >/dev/null || { echo "Python is missing: install Python 3.11 or newer (apt-get install python3)." >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; $python is older. Name another: make PYTHON=python3.12 run" >&2; exit 2; }
# Debian ships the venv module without what it needs: the package python3-venv brings it.
if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -q >/dev/null && apt-get install -qy python3-venv >/dev/null
fi
"$python" -m venv --clear "$folder" || {
  echo "The virtual environment could not be made: install the package python3-venv (apt-get install python3-venv)." >&2; exit 2; }
