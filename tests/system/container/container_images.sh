# container_images: the images of deploy/compose.yaml, by buildah.  Sourced after common.sh and root_common.sh.
#
# deploy/Dockerfile is built from HEAD.  The base images come from Docker's registry.  If it cannot be reached,
# debian:12-slim is a minimal root made here, and redis:7 is the same with Debian's redis-server.
# shellcheck shell=sh
# shellcheck disable=SC2154 # folder and root are set by the other sourced files
container_debian=docker.io/library/debian:12-slim
container_redis=docker.io/library/redis:7

# image_from NAME CONTAINER: makes an image from the container.
image_from()
{
    quietly "$folder/log" buildah commit -q "$2" "$1"
    buildah rm "$2" >/dev/null
}

# container_images: makes debian:12-slim, redis:7 and evalx in a storage in $folder (see root_scratch).
# $container_origin describes where the first two come from.
container_images()
{
    CONTAINERS_STORAGE_CONF=$folder/storage.conf
    export CONTAINERS_STORAGE_CONF
    printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' "$folder" "$folder" \
        >"$CONTAINERS_STORAGE_CONF"
    if timeout 60 buildah pull -q "$container_debian" >/dev/null 2>&1 &&
        timeout 60 buildah pull -q "$container_redis" >/dev/null 2>&1; then
        say "the images that deploy/ names were fetched"
        container_origin="the image of Docker's registry"
    else
        say "Docker's registry cannot be reached, so the base images are made here"
        # Without documentation, as in the slim images.
        root_make bookworm "" "$folder" --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*'
        base=$(buildah from scratch)
        quietly "$folder/log" buildah add -q "$base" "$root" /
        image_from "$container_debian" "$base"
        base=$(buildah from --pull-never "$container_debian")
        quietly "$folder/log" buildah run --isolation chroot --network host "$base" -- sh -c 'apt-get -q update &&
            DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends redis-server &&
            rm -rf /var/lib/apt/lists/* /var/cache/apt/*'
        image_from "$container_redis" "$base"
        rm -rf --one-file-system "$root"
        # shellcheck disable=SC2034 # used by the sourcing script
        container_origin="Debian 12's redis-server, as Docker's registry is not reached"
    fi

    say "building deploy/Dockerfile from HEAD"
    mkdir "$folder/clone"
    git archive HEAD | tar -x -C "$folder/clone"
    begin=$(date +%s)
    quietly "$folder/log" buildah bud --isolation chroot --network host --pull-never -t evalx \
        -f "$folder/clone/deploy/Dockerfile" "$folder/clone" || fail "the image could not be built"
    say "built in $(($(date +%s) - begin)) s"
}
