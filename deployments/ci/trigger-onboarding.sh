#!/bin/sh
# Starts onboard-teams at a commit of the declared state, from CI, and says what came of it.
#
#   trigger-onboarding.sh COMMIT
#
# COMMIT is the full hash of the commit that was pushed. Calling this again for the same commit
# makes no second run. While another run is at work, the new one waits for its end.
#
# Environment:
#   PREFECT_API_URL           the API's address (http://127.0.0.1:4200/api)
#   PREFECT_API_AUTH_STRING   user:password, if the server asks for them
#   PARAMETERS                more of the flow's parameters, as JSON ({})
#   FOLLOW                    seconds to wait for the run's end (1800); 0: print its id and go
#   RETRIES                   how often a call is repeated that may succeed later (8: four minutes)
#
# Exit status: 0 completed (or created, with FOLLOW=0), 1 the run did not complete, 2 the call was
# refused, 3 no answer, or no end, in time.
#
# It is one file on purpose: copy it into the repository of the declared state. It needs curl 7.71
# or later and jq.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 COMMIT" >&2
    exit 2
fi
commit=$1
api=${PREFECT_API_URL:-http://127.0.0.1:4200/api}
deployment=onboard-teams/onboard-teams
follow=${FOLLOW:-1800}
parameters=$(printf %s "${PARAMETERS:-{\}}" |
    jq --compact-output --sort-keys --arg commit "$commit" '. + {commit: $commit}') || exit 2
# For a key that was used before, Prefect answers the old run even if the parameters are others.
key="$deployment-$commit-$(printf %s "$parameters" | sha256sum | cut -c1-8)"

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
        echo "$1 $2 still answers $status: run this job again, it makes no second run" >&2
        exit 3
        ;;
    *)
        echo "$1 $2 answered $status: $(jq --compact-output '.detail // .' "$work/answer" \
            2> /dev/null || cat "$work/answer")" >&2
        exit 2
        ;;
    esac
}

field() {
    jq --raw-output "$1 // empty" "$work/answer"
}

call GET "deployments/name/$deployment"
id=$(field .id)
call POST "deployments/$id/create_flow_run" "$(jq --null-input --compact-output \
    --arg key "$key" --argjson parameters "$parameters" \
    '{parameters: $parameters, idempotency_key: $key}')"
run=$(field .id)
if [ "$status" = 201 ]; then
    echo "run $run: created for commit $commit"
else
    echo "run $run: was there already for commit $commit"
fi
[ "$follow" -gt 0 ] || exit 0
waited=0
until call GET "flow_runs/$run" && ended=$(field .state_type) &&
    case $ended in COMPLETED | FAILED | CRASHED | CANCELLED) true ;; *) false ;; esac; do
    if [ "$waited" -ge "$follow" ]; then
        echo "run $run: $(field .state_name) after $follow seconds" >&2
        exit 3
    fi
    sleep 1
    waited=$((waited + 1))
done
message=$(field .state.message)
[ "$ended" = COMPLETED ] || {
    echo "run $run: $(field .state_name): $message" >&2
    exit 1
}
echo "run $run: $message"
