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

# Names without a version, as "python", are languages of the host's own packages, which a machine of evalx's need not
# have: their files name the host as image.  Where an image holds the same compiler, they are installed with that one.
install_languages()
{
    local folder pair file image version
    folder=$(mktemp -d)
    cp -r "$clone/languages/." "$folder"
    for pair in c:c-gcc14 cpp:c-gcc14 python:python-3.13 java:java-21 javascript:node-20; do
        file=$clone/languages/${pair#*:}.conf
        image=$(sed -n 's/^image *= *//p' "$file")
        version=$(sed -n 's/^version *= *//p' "$file")
        if [ -n "$images_elsewhere" ] || [ -f "/opt/evalx/chroots/$image.layers" ] ||
            image_names | grep -qxF "$image"; then
            sed -i -e "s/^image *=.*/image = $image/" -e "s/^version *=.*/version = $version/" \
                "$folder/${pair%%:*}.conf"
        fi
    done
    put_folder "$folder" /etc/evalx/languages
    rm -rf "$folder"
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
    fi
    note "building those that are missing or out of date: ${names[*]}"
    run /usr/local/bin/evalx-images build "${options[@]}" "${names[@]}"
    run rm -rf /opt/evalx/chroots/.build/archives
}

install_images()
{
    if [ -n "$images_tar" ]; then
        unpack_images
        install_languages # now it is known which images there are
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
