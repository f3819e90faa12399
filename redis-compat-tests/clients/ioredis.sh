#!/usr/bin/env bash
# Runs ioredis/basic_use.js with the packages of its lock file, installed on first use.
# usage: ioredis.sh HOST PORT
set -eu

cd "$(dirname "$0")/ioredis"
[ -d node_modules/ioredis ] || npm ci --no-audit --no-fund --loglevel=error >/dev/null
exec node basic_use.js "$@"
