#!/bin/sh
# Onboards a team through Prefect's API, and says what came of it.
#
#   onboard-team.sh REQUEST PARAMETERS
#
# REQUEST names what asks for it, such as a ticket's number or a commit. PARAMETERS is a file of
# JSON: {"team": {"name": "shop", "contact": "#shop"}}. The same REQUEST with the same parameters
# makes one run, however often this is called; take another REQUEST to run it once more.
#
# A team that is declared already is changed only with "if_declared": "merge" or "replace" next to
# "team". If that deletes something the run waits for a person's approval, and this script with it;
# with "require_approval": false it does not ask.
#
# Environment:
#   PREFECT_API_URL           the API's address (http://127.0.0.1:4200/api)
#   PREFECT_API_AUTH_STRING   user:password, if the server asks for them
#   FOLLOW                    seconds to wait for the run's end (1800); 0: print its id and go
#   RETRIES                   how often a call is repeated that may succeed later (8: four minutes)
#
# Exit status: 0 completed (or created, with FOLLOW=0), 1 the run did not complete, 2 the call was
# refused, 3 no answer, or no end, in time.
#
# Needs curl 7.71 or later and jq.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 REQUEST PARAMETERS" >&2
    exit 2
fi
request=$1
parameters=$(jq --compact-output --sort-keys . "$2") || exit 2
api=${PREFECT_API_URL:-http://127.0.0.1:4200/api}
deployment=onboard-team/onboard-team
follow=${FOLLOW:-1800}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# call METHOD PATH [BODY]: leaves the answer in $work/answer, its status in $status. A lost answer
# and 408, 429, 500, 502, 503 and 504 are followed by another call, 1, 2, 4 ... seconds later or
# when the server says; the key makes that safe. The password is in no argument: others see those.
call() {
    printf '%s' "${3:-}" > "$work/body"
    if [ -n "${PREFECT_API_AUTH_STRING:-}" ]; then
        printf 'user = "%s"\n' "$(printf %s "$PREFECT_API_AUTH_STRING" | sed 's/[\\"]/\\&/g')"
    fi | curl --config - --silent --show-error --request "$1" --max-time 60 \
        --retry "${RETRIES:-8}" --retry-all-errors \
        --header 'Content-Type: application/json' --data-binary "@$work/body" \
        --output "$work/answer" --write-out '%{http_code}' "$api/$2" > "$work/status" || {
        echo "no answer from $api" >&2
        exit 3
    }
    status=$(cat "$work/status")
    case $status in
    2*) ;;
    408 | 429 | 5*)
        echo "$1 $2 still answers $status: call again later, with the same request" >&2
        exit 3
        ;;
    *)
        echo "$1 $2 answered $status: $(refusal)" >&2
        exit 2
        ;;
    esac
}

refusal() {
    jq --raw-output '.detail // .exception_detail // . | if type == "string" then . else tojson end' \
        "$work/answer" 2> /dev/null || cat "$work/answer"
}

field() {
    jq --raw-output "$1 // empty" "$work/answer"
}

hash=$(printf %s "$parameters" | sha256sum | cut -c1-16)
call GET "deployments/name/$deployment"
id=$(field .id)
call POST "deployments/$id/create_flow_run" \
    "{\"parameters\": $parameters, \"idempotency_key\": $(printf %s "$request-$hash" | jq -Rs .)}"
run=$(field .id)
if [ "$status" = 201 ]; then
    echo "run $run: created"
else
    echo "run $run: was there already"
fi
[ "$follow" -gt 0 ] || exit 0

waited=0
while :; do
    call GET "flow_runs/$run"
    case $(field .state_type) in
    COMPLETED)
        echo "run $run: $(field .state.message)"
        exit 0
        ;;
    FAILED | CRASHED | CANCELLED)
        echo "run $run: $(field .state_name): $(field .state.message)" >&2
        exit 1
        ;;
    esac
    if [ "$waited" -ge "$follow" ]; then
        echo "run $run: $(field .state_name) after $follow seconds; it goes on" >&2
        exit 3
    fi
    sleep 1
    waited=$((waited + 1))
done
