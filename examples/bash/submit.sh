#!/usr/bin/env bash
# Submits a job and prints its result:   submit.sh TASK [JSON]
# Needs grpcurl and nothing else; the broker is at $DROVER_ADDRESS.
set -euo pipefail
call() { grpcurl -plaintext -d "$2" "${DROVER_ADDRESS:-localhost:50051}" "drover.v1.$1"; }
field() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" | head -n 1; }

payload=$(printf %s "${2:-null}" | base64 | tr -d '\n')
id=$(call JobService/Submit "{\"job\":{\"task\":\"$1\",\"payload\":{\"data\":\"$payload\"}}}" | field id)
until job=$(call JobService/Wait "{\"ids\":[\"$id\"]}") && grep -q '"done": true' <<<"$job"; do :; done
case $(field state <<<"$job") in
  JOB_STATE_SUCCEEDED) field data <<<"$job" | base64 -d ;;
  *) echo "$id: $(field state <<<"$job"): $(field message <<<"$job")" >&2; exit 1 ;;
esac
