#!/bin/sh
# container: tests deploy/compose.yaml without a Docker engine: buildah builds deploy/Dockerfile, runc runs the
# services.
#
# The networks and ports of compose.yaml are not tested here (./dev test-vm compose does), because all services share
# one network namespace.  Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tests/system/root_common.sh
. tests/system/container/container_images.sh
root_scratch container
container_images
/usr/bin/python3 tests/system/container/compose_services.py "$folder" &
inside=$!
wait "$inside" || fail "the services of compose.yaml do not work"
inside=
say "the services of compose.yaml work"
