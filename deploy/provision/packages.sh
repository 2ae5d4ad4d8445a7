# packages: installs the distribution's packages that evalx needs, from the archive or from a folder of .deb files.
# shellcheck shell=bash disable=SC2154

# The libraries that evalx is linked to, for a binary built elsewhere.  A build on this machine installs them anyway.
runtime_libraries()
{
    case $codename in
    bookworm) echo libmicrohttpd12 libhiredis0.14 libnettle8 libcurl3-gnutls libssl3 ;;
    *) echo libmicrohttpd12t64 libhiredis1.1.0 libnettle8t64 libcurl3t64-gnutls libssl3t64 ;;
    esac
    echo libjansson4 libsqlite3-0 libinih1 libseccomp2 libwslay1 libc6
}

# tools/common.sh has the list of build packages.  The test programs are not built here.
build_packages()
{
    # shellcheck disable=SC2016 # expanded by the inner shell
    (cd "$clone" && sh -c '. tools/common.sh && echo $packages_build') | tr ' ' '\n' | grep -v '^libcmocka-dev$'
}

fetches_files()
{
    [[ $cloudwatch == default || $cloudwatch == *://* || ( -n $isolate && -z $offline ) ]]
}

packages_wanted()
{
    {
        # ca-certificates: TLS to Redis.  nftables: the egress firewall.
        echo systemd ca-certificates nftables util-linux passwd
        runtime_libraries
        [ -n "$binary" ] || build_packages
        if [ "$images" != none ]; then
            echo mmdebstrap python3
            [ "$codename" != noble ] || echo debian-archive-keyring
        fi
        [ -z "$isolate" ] || [ -z "$offline" ] || echo isolate
        ! fetches_files || echo curl gpg
        [ -z "$cloudwatch" ] || [ ! -f "$cloudwatch.sig" ] || echo gpg
    } | tr '\n' ' '
}

has_package()
{
    dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q 'ok installed'
}

# Makes an archive (a folder with an index) of the .deb files.  It is not made in DIR, which may be read-only.
offline_archive()
{
    local archive=$state/archive deb name
    rm -rf "$archive.new"
    mkdir -p "$archive.new"
    for deb in "$offline"/*.deb; do
        [ -f "$deb" ] || fail "--offline: $offline contains no .deb file"
        name=$(basename "$deb")
        ln -s "$deb" "$archive.new/$name"
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$name" "$(stat -c %s "$deb")" \
            "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done >"$archive.new/Packages"
    rm -rf "$archive"
    mv "$archive.new" "$archive"
    # The user of this script provides the files; they are not signed.
    echo "deb [trusted=yes] file:$archive ./" >"$state/offline.list"
}

apt()
{
    local options=(-q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    if [ -n "$offline" ]; then
        options+=(-o Dir::Etc::SourceList="$state/offline.list" -o Dir::Etc::SourceParts=/dev/null
            -o Dir::State::Lists="$state/lists" -o APT::Sandbox::User=root -o Acquire::Languages=none)
        mkdir -p "$state/lists/partial"
    fi
    run apt-get "${options[@]}" "$@"
}

# Keeps packages from starting services while they are installed.
without_starting()
{
    local policy=/usr/sbin/policy-rc.d ours=
    if [ -z "$dry_run" ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    "$@"
    [ -z "$ours" ] || rm -f "$policy"
}

install_packages()
{
    local package missing=()
    # A killed run may have left this file behind.
    if [ -z "$dry_run" ] && [ "$(cat /usr/sbin/policy-rc.d 2>/dev/null)" = "$(printf '#!/bin/sh\nexit 101\n')" ]; then
        rm -f /usr/sbin/policy-rc.d
    fi
    # Only if needed: `dpkg --configure` fails while another process holds dpkg's lock, as happens during first boot.
    if [ -n "$(dpkg --audit)$(find /var/lib/dpkg/updates -type f -name '[0-9]*')" ]; then
        note "completing packages that an earlier run left half installed"
        run dpkg --configure -a
    fi
    for package in $(packages_wanted); do
        has_package "$package" || missing+=("$package")
    done
    if [ -n "$binary" ] || is_done build "$(build_sum)"; then
        # Skip build tools that an earlier run removed after its build.
        mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vxF -f <(build_packages) || true)
    fi
    if [ ${#missing[@]} -eq 0 ] || [ -z "${missing[0]}" ]; then
        note "all packages are installed"
        return
    fi
    note "installing: ${missing[*]}"
    if [ -n "$dry_run" ]; then
        return
    fi
    [ -z "$offline" ] || offline_archive
    apt update
    record_packages
    without_starting apt install --no-install-recommends "${missing[@]}"
}

# Runs before anything is installed: packages that already exist are not removed after the build.
record_packages()
{
    [ -z "$binary" ] || return 0
    [ ! -f "$state/packages-before" ] || return 0
    dpkg-query -W -f '${Package}\n' | sort -u >"$state/packages-before.new"
    mv "$state/packages-before.new" "$state/packages-before"
}

# The packages that contain the shared libraries of evalx.
libraries_in_use()
{
    ldd /usr/local/bin/evalx | awk '/=> \// { print $3 }' | sort -u | while read -r library; do
        library=$(readlink -f "$library")
        dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "*/$(basename "$library")"
    done | sed 's/: .*//' | sort -u
}

# Removes compilers that were installed for the build: a machine that runs untrusted programs should not have them.
remove_build_tools()
{
    local keep package
    if [ -n "$binary" ] || [ -n "$keep_build_tools" ] || [ ! -f "$state/packages-before" ]; then
        note "nothing to remove"
        return
    fi
    if [ -n "$dry_run" ]; then
        note "would remove: compilers and headers that were installed for the build"
        return
    fi
    mapfile -t keep < <({ libraries_in_use | sed 's/:.*//'; packages_wanted | tr ' ' '\n'; } | grep . | sort -u |
        grep -vxF -f <(build_packages))
    run apt-mark manual "${keep[@]}"
    local tools=()
    for package in $(build_packages); do
        if has_package "$package" && ! grep -qxF "$package" "$state/packages-before"; then
            tools+=("$package")
        fi
    done
    if [ ${#tools[@]} -gt 0 ]; then
        run apt-mark auto "${tools[@]}"
        apt autoremove --purge
        note "removed: ${tools[*]} and their unused dependencies"
    fi
    rm -f "$state/packages-before"
    ldd /usr/local/bin/evalx | grep 'not found' >&2 &&
        fail "a library of evalx was removed with the build tools (above)"
    return 0
}
