#!/bin/sh
# test_aws: everything about the deployment on AWS that can be tried without an account.
#
#   run.sh [--short] [PYTEST ARGUMENTS...]
#
# cfn-lint, a moto server and the aws command come from PyPI, at the versions here, into build-aws/.  Where PyPI cannot
# be reached, what needs them is skipped, by name, and the rest is done.  --short leaves out what takes longest.
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
exec "$python" -m pytest -q -rs -p no:cacheprovider -m "$select" tests/system/aws "$@"
