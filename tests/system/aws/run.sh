#!/bin/sh
# run: the tests of the deployment on AWS that need no account: run.sh [--short] [PYTEST ARGUMENTS...]
#
# cfn-lint, a moto server and the aws command come from PyPI, in the versions below, into build-aws/.  If PyPI cannot be
# reached, the tests that need them are skipped by name and all others run.  --short leaves out the slowest tests.
set -eu
. tools/common.sh
wanted='cfn-lint==1.51.0 moto[server]==5.2.1 awscli==1.46.3'
folder="build-aws"
stamp="$folder/$(printf '%s' "$wanted" | sha256sum | cut -c1-12)"
python=/usr/bin/python3
tools=yes

if [ ! -f "$stamp" ]; then
    say "installing cfn-lint, moto and the aws command into $folder/"
    rm -rf "$folder/venv"
    mkdir -p "$folder"
    # shellcheck disable=SC2086 # words
    if /usr/bin/python3 -m venv --system-site-packages "$folder/venv" &&
        timeout 300 "$folder/venv/bin/pip" install -q --disable-pip-version-check $wanted >"$folder/pip.log" 2>&1; then
        touch "$stamp"
    else
        tools=
        say "skipped: cfn-lint, moto and the aws command: PyPI cannot be reached ($folder/pip.log)"
    fi
fi
[ -z "$tools" ] || python=$folder/venv/bin/python

say "the cost"
sh deploy/aws/deploy.sh cost --env dev
sh deploy/aws/deploy.sh cost --env production
select='not nothing'
if [ "${1:-}" = --short ]; then
    shift
    select='not slow'
fi
say "the tests (tests/system/aws)"
export PYTHONDONTWRITEBYTECODE=1 EVALX_BINARY="$PWD/$build/evalx"
results=$folder/test-results/aws
rm -rf "$results"
mkdir -p "$results"
status=0
"$python" -m pytest -q -p no:cacheprovider --junit-xml="$results/pytest.xml" -m "$select" tests/system/aws "$@" ||
    status=$?
echo "$status" >"$results/status"
exec /usr/bin/python3 tests/junit_sum.py "$results"
