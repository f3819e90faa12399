#!/usr/bin/env bash
# Runs redis-py/basic_use.py in an environment of its own, built on first use.
# usage: redis-py.sh HOST PORT
set -eu

cd "$(dirname "$0")/redis-py"
if ! venv/bin/python -c 'import redis' 2>/dev/null; then
    python3 -m venv --clear venv
    venv/bin/pip --quiet --disable-pip-version-check install --require-hashes -r requirements.txt
fi
exec venv/bin/python -W ignore::DeprecationWarning basic_use.py "$@"
