# languages: language files, images (built here or unpacked), and `evalx prepare`, which makes compilers start faster.
# shellcheck shell=bash disable=SC2154

# wants_image NAME: was this image requested?
wants_image()
{
    case $images in
    none) return 1 ;;
    all) return 0 ;;
    *) tr ' ' '\n' <<<"$images" | grep -qxF "$1" ;;
    esac
}

# install_languages: installs the language files.  Languages without a version, such as "python", run with the host's
# packages, which may be missing.  If an image contains the same compiler, the language uses that image instead: the
# name and version of the image replace those in the [language] section.
install_languages()
{
    local folder language image version
    folder=$(mktemp -d)
    cp -r "$clone/languages/." "$folder"
    while read -r language image version; do
        if [ -n "$images_elsewhere" ] || [ -f "/opt/evalx/chroots/$image.layers" ] || wants_image "$image"; then
            sed -i "1,/^\[version /{s/^image *=.*/image = $image/; s/^version *=.*/version = $version/}" \
                "$folder/$language.conf"
        fi
    done <<'END'
c gcc-14 14.2
cpp gcc-14 14.2
python python-3.13 3.13
java java-21 21
javascript node-20 20
END
    remove_old_languages
    put_folder "$folder" /etc/evalx/languages
    rm -rf "$folder"
}

# Older releases had one file per version.  A leftover file would define a language twice, and evalx would not start.
remove_old_languages()
{
    local name
    for name in bash-5.2 c-11 c-23 c-99 c-clang c-gcc12 c-gcc14 chicken commonlisp-clisp cpp-11 cpp-14 cpp-17 cpp-20 \
        cpp-23 cpp-clang cpp-gcc12 csharp-dotnet d-ldc go-1.19 go-1.21 java-11 java-17 java-21 java-25 lua-5.1 \
        lua-5.3 luajit node-18 node-20 ocaml-4.13 perl-5.36 php-8.2 pypy-3.11 python-3.11 python-3.12 python-3.13 \
        ruby-3.1 rust-1.63 typescript-checked; do
        [ ! -e "/etc/evalx/languages/$name.conf" ] || run rm -f "/etc/evalx/languages/$name.conf"
    done
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
    mark_done images-tar "$sum"
}

build_images()
{
    local names=(--all) options=()
    if [ -n "$mirror" ]; then
        options=(--mirror "$mirror")
    fi
    [ "$images" = all ] || mapfile -t names < <(tr ' ' '\n' <<<"$images")
    note "building images that are missing or out of date: ${names[*]}"
    run /usr/local/bin/evalx-images build "${options[@]}" "${names[@]}"
    run rm -rf /opt/evalx/chroots/.build/downloads
}

install_images()
{
    if [ -n "$images_tar" ]; then
        unpack_images
        install_languages # again, because only now are the existing images known
    elif [ "$images" != none ]; then
        build_images
    else
        note "no images requested; only languages that the host's packages provide are available"
    fi
    if [ -z "$prepare" ]; then
        note "evalx prepare is skipped (--no-prepare)"
    elif [ -n "$dry_run" ]; then
        note "would run: evalx prepare"
    elif ! in_service /usr/local/bin/evalx prepare >>"$state/log" 2>&1; then
        note "evalx prepare failed for some languages, which start slower (see $state/log)"
    fi
}
