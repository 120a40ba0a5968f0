#!/usr/bin/env bash
# Runs the jobs of a task with a command, payload in, result out:   worker.sh TASK COMMAND [ARGUMENT...]
# A command that ends with another status than 0 has failed: the job is retried as its policy says.
set -euo pipefail
call() { grpcurl -plaintext -d "$2" "${DROVER_ADDRESS:-localhost:50051}" "drover.v1.$1"; }
field() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" | head -n 1; }

task=$1; shift
while lease=$(call WorkerService/Lease "{\"worker\":\"bash:$$\",\"tasks\":[\"$task\"],\"lease_duration\":\"600s\"}"); do
  token=$(field token <<<"$lease")
  [[ -n $token ]] || continue
  if result=$(field data <<<"$lease" | base64 -d | "$@"); then
    report="\"success\":{\"result\":{\"data\":\"$(printf %s "$result" | base64 | tr -d '\n')\"}}"
  else
    report="\"failure\":{\"message\":\"$1 ended with status $?\"}"
  fi
  call WorkerService/Ack "{\"outcomes\":[{\"token\":\"$token\",$report}]}" >/dev/null
done
