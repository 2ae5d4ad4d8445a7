#!/bin/sh
# test_container: deploy/compose.yaml without a Docker engine: deploy/Dockerfile built by buildah, its services by runc.
#
# The images it stands on come from Docker's registry; where that is not reached, debian:12-slim is a minimal root made
# here and redis:7 the same with Debian's redis-server.  compose's networks and ports are not tried: all services share
# one network namespace of their own.  Everything is removed afterwards, also on failure.
set -eu
. tools/common.sh
. tools/root_common.sh
root_scratch container
CONTAINERS_STORAGE_CONF=$folder/storage.conf
export CONTAINERS_STORAGE_CONF
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' "$folder" "$folder" \
    >"$CONTAINERS_STORAGE_CONF"

# image_from NAME CONTAINER: the container becomes an image.
image_from()
{
    quietly "$folder/log" buildah commit -q "$2" "$1"
    buildah rm "$2" >/dev/null
}

debian=docker.io/library/debian:12-slim
redis=docker.io/library/redis:7
if timeout 60 buildah pull -q "$debian" >/dev/null 2>&1 && timeout 60 buildah pull -q "$redis" >/dev/null 2>&1; then
    say "the images that deploy/ names were fetched"
else
    say "Docker's registry is not reached: images of the same releases are made here"
    root_make bookworm "" "$folder"
    base=$(buildah from scratch)
    quietly "$folder/log" buildah add -q "$base" "$root" /
    image_from "$debian" "$base"
    base=$(buildah from --pull-never "$debian")
    quietly "$folder/log" buildah run --isolation chroot --network host "$base" -- sh -c \
        'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends redis-server'
    image_from "$redis" "$base"
    rm -rf --one-file-system "$root"
fi

say "building deploy/Dockerfile from HEAD"
mkdir "$folder/clone"
git archive HEAD | tar -x -C "$folder/clone"
begin=$(date +%s)
quietly "$folder/log" buildah bud --isolation chroot --network host --pull-never -t evalx \
    -f "$folder/clone/deploy/Dockerfile" "$folder/clone" || fail "the image could not be built"
say "built in $(($(date +%s) - begin)) s"
/usr/bin/python3 tools/compose_services.py "$folder" &
inside=$!
wait "$inside" || fail "the services of compose.yaml do not work"
inside=
say "the services of compose.yaml work"
