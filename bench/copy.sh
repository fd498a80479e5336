#!/usr/bin/env bash
# Asks a running service for one copy and waits for its end: the smallest client there is, so that the service is
# measured and not the client. Used by the bench only.
#   copy.sh READY_FILE SOURCE TARGET
# READY_FILE holds the service's URL on its first line and its bearer token on the second.
set -euo pipefail
ready=$1 source=$2 target=$3
for _ in $(seq 100); do [[ -s $ready ]] && break; sleep 0.05; done
{ read -r url; read -r token; } <"$ready"

# The token goes through a descriptor: a command line can be read by every user of the machine.
call() { curl -sS --fail-with-body -H @<(printf 'authorization: Bearer %s' "$token") "$@"; }

view=$(call -H 'content-type: application/json' -d "{\"source\":\"$source\",\"target\":\"$target\"}" "$url/v1/copies")
id=$(grep -oE '"id":"[^"]+"' <<<"$view" | head -n 1 | cut -d '"' -f 4)
while :; do
  case $view in
    *'"state":"succeeded"'*) exit 0 ;;
    *'"state":"failed"'* | *'"state":"cancelled"'*) echo "$view" >&2; exit 1 ;;
  esac
  view=$(call "$url/v1/copies/$id?wait=30")
done
