#!/bin/sh
# container: deploy/compose.yaml without a Docker engine: deploy/Dockerfile built by buildah, its services by runc.
#
# compose's networks and ports are not tried here (./dev test-vm compose does): all services share one network namespace
# of their own.  Everything is removed afterwards, also on failure.
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
