# languages: images of the languages, built here or unpacked; and what makes compilers start faster.
# shellcheck shell=bash disable=SC2154

image_names()
{
    case $images in
    none) ;;
    all) grep -h '^image *=' "$clone"/languages/*.conf | sed 's/.*= *//' | grep -v '^host$' | sort -u ;;
    *) tr ' ' '\n' <<<"$images" ;;
    esac
}

# Does an image that was asked for hold packages of npm's?
needs_npm()
{
    local name
    for name in $(image_names); do
        if grep -l "^image *= *$name\$" "$clone"/languages/*.conf | xargs -r grep -q '^npm *='; then
            return 0
        fi
    done
    return 1
}

unpack_images()
{
    local sum
    sum="$(readlink -f "$images_tar") $(stat -c '%s %Y' "$images_tar")"
    if is_done images-tar "$sum"; then
        note "already unpacked from $images_tar"
        return
    fi
    note "unpacking $images_tar"
    run tar --extract --file="$images_tar" --directory=/opt/evalx/chroots --numeric-owner --same-owner \
        --preserve-permissions
    remember images-tar "$sum"
}

build_images()
{
    local names options=()
    mapfile -t names < <(image_names)
    if [ -n "$mirror" ]; then
        options=(--mirror "$mirror")
    elif [ "$(os_value ID)" = ubuntu ]; then
        # The images are Debian's, whatever the machine is.
        options=(--mirror http://deb.debian.org/debian)
    fi
    note "building those that are missing or out of date: ${names[*]}"
    run /usr/local/bin/evalx-images build "${options[@]}" "${names[@]}"
    run rm -rf /opt/evalx/chroots/.build/archives
}

install_images()
{
    if [ -n "$images_tar" ]; then
        unpack_images
    elif [ "$images" != none ]; then
        build_images
    else
        note "none asked for; languages of the host's own packages remain"
    fi
    if [ -z "$prepare" ]; then
        note "evalx prepare is left out (--no-prepare)"
    elif [ -n "$dry_run" ]; then
        note "would run: evalx prepare"
    elif ! in_service /usr/local/bin/evalx prepare >>"$state/log" 2>&1; then
        note "evalx prepare did not succeed for every language: those start slower (see $state/log)"
    fi
}
