#!/usr/bin/env bash
# Runs frameworks/check.py, which uses Celery and Django, in an environment of its own, built on first use.
# usage: frameworks.sh HOST PORT
set -eu

cd "$(dirname "$0")/frameworks"
if ! venv/bin/python -c 'import celery, django' 2>/dev/null; then
    python3 -m venv --clear venv
    venv/bin/pip --quiet --disable-pip-version-check install --require-hashes -r requirements.txt
fi
exec venv/bin/python -W ignore check.py "$@"
