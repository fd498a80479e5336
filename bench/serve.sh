#!/usr/bin/env bash
# Runs a service for the bench. The process keeps its id from the first line to the last (exec), so that it can be watched
# before it serves: on the slow network it has to wait until the rig has made the namespace it belongs in.
#   serve.sh NAMESPACE|- ADDRESS COMMAND...    ADDRESS: the last one the rig gives the namespace
set -euo pipefail
namespace=$1 address=$2
shift 2
[[ $namespace == - ]] && exec "$@"
until ip -n "$namespace" -o addr show 2>/dev/null | grep -qF "$address"; do sleep 0.05; done
exec ip netns exec "$namespace" "$@"
