# shellcheck shell=bash disable=SC2154 # evalx-images, which sources this file, sets images, mirror and began
# layer: builds, strips, measures and checks bases and layers.  Sourced by evalx-images.

# Files that no program needs: documentation, translations, files for desktops.  dpkg does not unpack them.  Those that
# package scripts create are removed at the end.
useless="usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug usr/share/doc-base
    usr/share/menu usr/share/applications usr/share/bash-completion usr/share/zsh usr/share/fish usr/share/gdb
    usr/share/pixmaps usr/share/icons usr/share/help usr/share/gtk-doc usr/share/omf usr/share/linda
    usr/share/vim usr/share/emacs/site-lisp usr/share/common-licenses"
# Files for running a machine.  evalx keeps them out of every run (src/sandboxd/rootfs.c, `excluded`).
machine="boot dev home media mnt opt/evalx proc root run srv sys tmp var/cache var/log var/tmp var/spool var/mail
    var/backups var/lib/apt var/lib/systemd var/lib/pam lib/systemd usr/lib/systemd etc/systemd etc/init.d etc/cron.d
    etc/cron.daily etc/cron.weekly etc/logrotate.d etc/pam.d etc/security etc/skel etc/default etc/fstab etc/hostname
    etc/resolv.conf etc/machine-id etc/rc0.d etc/rc1.d etc/rc2.d etc/rc3.d etc/rc4.d etc/rc5.d etc/rc6.d etc/rcS.d
    usr/sbin/policy-rc.d"
# The package manager.
manager="etc/apt etc/dpkg etc/kernel usr/lib/apt usr/lib/dpkg usr/libexec/dpkg usr/share/dpkg usr/share/keyrings
    usr/share/debconf usr/share/perl5/Debian usr/share/perl5/Debconf usr/share/perl5/Dpkg usr/share/perl5/Dpkg.pm
    etc/debconf.conf var/cache/debconf var/lib/ucf usr/lib/init"
users="etc/passwd etc/group etc/shadow etc/gshadow etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid etc/subgid
    etc/subuid- etc/subgid-"

is_ubuntu()
{
    case $1 in
    bionic | focal | jammy | noble | oracular | plucky | questing | resolute) return 0 ;;
    *) return 1 ;;
    esac
}

# machine_mirror Debian|Ubuntu PATTERN: this machine's mirror of that distribution.
machine_mirror()
{
    # shellcheck disable=SC2016 # apt expands the fields
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | sort -u |
        awk -v origin="$1" -v pattern="$2" '$1 == origin && $2 ~ pattern && !n++ { sub(/\/$/, "", $2); print $2 }'
}

# given_mirror Debian|Ubuntu: the mirror from --mirror.  The path of a mirror of Ubuntu ends in "ubuntu".
given_mirror()
{
    local url
    for url in $mirror; do
        case $1:${url%/} in
        Ubuntu:*ubuntu) echo "${url%/}" && return ;;
        Ubuntu:* | Debian:*ubuntu) ;;
        *) echo "${url%/}" && return ;;
        esac
    done
}

# Lines for sources.list, with the fixes after the release.
sources_of()
{
    local suite=$1 at origin=Debian fixes=
    if is_ubuntu "$suite"; then origin=Ubuntu; fi
    at=$(given_mirror $origin)
    if [ -z "$at" ]; then
        at=$(machine_mirror $origin '/(debian|ubuntu)/?$')
        fixes=$(machine_mirror $origin security)
    fi
    if [ $origin = Ubuntu ]; then
        at=${at:-http://archive.ubuntu.com/ubuntu}
        printf 'deb %s %s main universe\n' "$at" "$suite" "$at" "$suite-updates" "${fixes:-$at}" "$suite-security"
        return
    fi
    at=${at:-http://deb.debian.org/debian}
    echo "deb $at $suite main"
    case $suite in
    sid | unstable | testing | experimental) ;;
    *)
        echo "deb $at $suite-updates main"
        # Security fixes are beside the main archive, also on mirrors.
        echo "deb ${fixes:-${at%/debian}/debian-security} $suite-security main"
        ;;
    esac
}

# Prints the file of the key that signs a suite's archive, or nothing if apt already trusts it.
keyring_of()
{
    local key=/usr/share/keyrings/ubuntu-archive-keyring.gpg at
    local debian=/usr/share/keyrings/debian-archive-keyring.gpg
    if ! is_ubuntu "$1"; then
        # Ubuntu's package of Debian's keys installs them here without making apt trust them.
        [ ! -f $debian ] || echo $debian
        return
    fi
    if [ ! -f $key ]; then
        at=$(given_mirror Debian)
        ubuntu_keys "$images/.build" "${at:-$(machine_mirror Debian '/debian/?$')}" || fail "the base of $1 needs keys"
        key=$images/.build/ubuntu-archive-keyring.gpg
    fi
    echo "$key"
}

# apt in an image's root uses the proxy and trust settings of this machine.
apt_options()
{
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|AllowInsecure)' | grep -v '""' || true
}

# ---- the base: a minimal root of a suite, once with its package manager (for building) and once without ----

base_layer()
{
    [ ! -f "$images/.build/$1.base" ] || cat "$images/.build/$1.base"
}

# An existing base remembers the mirror it was made from.  A mirror given later replaces it.
base_sources()
{
    local sources origin=Debian
    if is_ubuntu "$1"; then origin=Ubuntu; fi
    [ -n "$(given_mirror $origin)" ] || return 0
    sources=$(sources_of "$1")
    [ "$sources" != "$(cat "$2/etc/apt/sources.list" 2>/dev/null)" ] || return 0
    say "base of $1: packages now come from $(given_mirror $origin)"
    printf '%s\n' "$sources" >"$2/etc/apt/sources.list"
    [ ! -f /etc/resolv.conf ] || cat /etc/resolv.conf >"$2/etc/resolv.conf"
    apt_in "$2" update >&2 || fail "the base of $1: the mirror cannot be used (reason above)"
}

base_build()
{
    local suite=$1 root=$images/.build/root-$1 layer stamp
    layer=$(base_layer "$suite")
    if [ -n "$layer" ] && [ -d "$images/.layers/$layer" ] && [ -d "$root" ] &&
        [ ! -f "$images/.build/$suite.renew" ]; then
        base_sources "$suite" "$root"
        return
    fi
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: sudo apt-get install mmdebstrap"
    need_disk $((700 << 20)) "the base of $suite"
    say "base of $suite: unpacking"
    rm -rf --one-file-system "$root.new"
    local options=() path sources keyring
    keyring=$(keyring_of "$suite")
    [ -z "$keyring" ] || options+=("--keyring=$keyring")
    for path in $useless; do
        options+=("--dpkgopt=path-exclude=/$path/*")
    done
    while IFS= read -r path; do
        options+=("--aptopt=$path")
    done < <(apt_options)
    sources=$(sources_of "$suite")
    # Ubuntu's minimal root lacks apt.
    mmdebstrap --quiet --mode=root --variant=minbase --include=apt --dpkgopt=force-unsafe-io \
        "${options[@]}" --aptopt='Acquire::Languages "none"' --skip=cleanup/apt "$suite" "$root.new" - <<<"$sources" ||
        fail "the base of $suite could not be made (reason above); check the mirror and the key of its archive"
    printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d" # packages must not start services
    chmod 0755 "$root.new/usr/sbin/policy-rc.d"
    mkdir -p "$root.new"/usr/share/man/man{1,2,3,4,5,6,7,8} # update-alternatives puts links there
    apt_in "$root.new" check >/dev/null # creates apt's index once for all layers

    stamp=$(date -u +%Y%m%d%H%M%S)
    rm -rf --one-file-system "$images/.build/base.new"
    cp -a --reflink=auto "$root.new" "$images/.build/base.new"
    strip_base "$images/.build/base.new"
    mv "$images/.build/base.new" "$images/.layers/${suite}_$stamp"
    # Root and layer belong together: neither is used if the script is interrupted before the last line.
    rm -f "$images/.build/$suite.base"
    rm -rf --one-file-system "$root"
    mv "$root.new" "$root"
    echo "${suite}_$stamp" >"$images/.build/$suite.base.new"
    mv "$images/.build/$suite.base.new" "$images/.build/$suite.base"
    rm -f "$images/.build/$suite.renew"
    say "base of $suite: $(du -sh "$images/.layers/${suite}_$stamp" | cut -f 1)"
}

strip_base()
{
    local root=$1 path
    for path in $users var/lib/dpkg; do
        rm -rf --one-file-system "${root:?}/$path"
    done
    (cd "$root" && rm -rf usr/bin/apt* usr/bin/dpkg* usr/sbin/dpkg* usr/bin/update-alternatives usr/sbin/add-shell \
        usr/bin/debconf* usr/sbin/dpkg-* usr/lib/*/libapt-pkg* usr/lib/*/libapt-private* usr/sbin/adduser \
        usr/sbin/user* usr/sbin/group* usr/bin/deb-systemd* \
        usr/sbin/*pam* usr/sbin/invoke-rc.d usr/sbin/update-rc.d usr/sbin/service)
    strip_layer "$root"
    printf 'root:x:0:0:root:/:/usr/sbin/nologin\nbox:x:1000:1000:box:/box:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nbox:x:1000:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
    printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
}

# Removes files for running a machine, setuid and setgid files, devices and sockets.  Gives all other files to root and
# makes them writable by root only.
strip_layer()
{
    local root=$1 path
    for path in $useless $machine $manager; do
        rm -rf --one-file-system "${root:?}/$path"
    done
    find "$root" -xdev -type f -perm /6000 -delete
    find "$root" -xdev \( -type c -o -type b -o -type p -o -type s \) -delete
    find "$root" -xdev -type d -perm /7002 -exec chmod u-s,g-s,o-wt {} +
    find "$root" -xdev -type f -perm /0002 -exec chmod o-w {} +
    find "$root" -xdev \( ! -uid 0 -o ! -gid 0 \) -exec chown -h 0:0 {} +
    find "$root" -xdev -depth -mindepth 1 -type d \( -name __pycache__ -path '*/dist-packages/*' \) -empty -delete
    chmod 0755 "$root"
}

# ---- a layer ----

# need_disk BYTES WHAT [ALSO]: fails if BYTES are not free.  ALSO names additional data of unknown size.
need_disk()
{
    local have needs=()
    have=$(df -B1 --output=avail "$images" | tail -n 1)
    [ "$1" -eq 0 ] || needs+=("up to $(numfmt --to=iec "$1")")
    [ -z "${3:-}" ] || needs+=("$3")
    [ ${#needs[@]} -gt 0 ] || needs=(nothing)
    say "$2: needs ${needs[0]}${needs[1]:+ and ${needs[1]}}, $(numfmt --to=iec "$have") free"
    [ "$1" -le "$have" ] || fail "$2: not enough space in $images"
}

# in_root FOLDER COMMAND...: as root, in new namespaces, so that nothing it mounts or starts remains.
in_root()
{
    local root=$1
    shift
    # shellcheck disable=SC2016 # expanded inside
    unshare --mount --pid --ipc --uts --fork --kill-child --mount-proc="$root/proc" -- sh -c '
        root=$1; shift
        mount --bind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive ${http_proxy:+"http_proxy=$http_proxy"} \
            ${https_proxy:+"https_proxy=$https_proxy"} chroot "$root" "$@"' - "$root" "$@"
}

# layer_build NAME SUITE ON: sets built_layer.
layer_build()
{
    local name=$1 suite=$2 on=$3 work=$images/.build/work lower=$images/.build/root-$2 layer
    rm -f "$images/.build/$name.log"
    for layer in $([ -z "$on" ] || layers_of "$on" | tail -n +2); do
        [ -d "$images/.build/state/$layer" ] || fail "image $on must be rebuilt first: evalx-images build --force $on"
        lower=$images/.build/state/$layer:$images/.layers/$layer:$lower
    done
    if mountpoint -q "$work/root" 2>/dev/null; then umount -R "$work/root"; fi
    rm -rf --one-file-system "$work"
    mkdir -p "$work/root" "$work/upper" "$work/work" "$images/.build/archives/partial"
    mount -t overlay evalx-images "$work/root" \
        -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work,index=off,metacopy=off,redirect_dir=off" ||
        fail "cannot mount an overlay in $images; if it is on an overlay itself, use a volume"
    # shellcheck disable=SC2064 # expanded now
    trap "umount -R '$work/root' 2>/dev/null || true" EXIT
    mkdir -p "$work/root/var/cache/apt/archives"
    mount --bind "$images/.build/archives" "$work/root/var/cache/apt/archives"
    [ ! -f /etc/resolv.conf ] || cat /etc/resolv.conf >"$work/root/etc/resolv.conf"

    # The package lists come from the base; old lists may name packages that the archive has replaced.
    if [ -z "$(find "$work/root/var/lib/apt/lists" -name '*Packages*' -mtime -1 2>/dev/null)" ]; then
        logged "$name" apt_in "$work/root" update
    fi
    need_disk "$(bytes_needed "$name" "$work/root")" "$name from $suite" \
        "$([ -z "$(wanted "$name" npm)" ] || echo "what npm fetches")"
    say "$name: installing its packages"
    logged "$name" install_into "$name" "$work/root"
    umount -R "$work/root"
    trap - EXIT

    built_layer=${name}_$(date -u +%Y%m%d%H%M%S)
    keep_state "$work/upper" "$images/.build/state/$built_layer"
    strip_layer "$work/upper"
    find "$work/upper" -xdev -depth -mindepth 1 -type d -empty -delete
    mv "$work/upper" "$images/.layers/$built_layer"
    rm -rf --one-file-system "$work"
}

# show_progress NAME: until it is killed or this script has ended, prints the last line of the log every 15 seconds.
show_progress()
{
    local ticks=0
    while kill -0 $$ 2>/dev/null && sleep 1 >/dev/null 2>&1; do
        ticks=$((ticks + 1))
        [ $((ticks % 15)) -ne 0 ] ||
            say "$1: ... $(tail -n 1 "$images/.build/$1.log" 2>/dev/null | tr -cd '[:print:]' | cut -c 1-90)"
    done
}

logged()
{
    local name=$1 progress status=0
    shift
    show_progress "$name" </dev/null &
    progress=$!
    "$@" >>"$images/.build/$name.log" 2>&1 || status=$?
    kill "$progress" 2>/dev/null || true
    wait "$progress" 2>/dev/null || true
    if [ "$status" -ne 0 ]; then
        tail -n 25 "$images/.build/$name.log" >&2
        fail "$name could not be built (full log: $images/.build/$name.log)"
    fi
}

# Prints the size of the packages that apt would fetch and unpack.  --assume-no alone does not cancel the -y of apt_in,
# hence APT::Get::Assume-Yes=false.  The size of npm packages is not known in advance.
bytes_needed()
{
    local packages
    packages=$(wanted "$1" packages)
    # shellcheck disable=SC2086 # a list of words
    { [ -z "$packages" ] || apt_in "$2" -o APT::Get::Assume-Yes=false --assume-no install $packages 2>/dev/null ||
        true; } | awk '
        function bytes(n, unit) {
            gsub(",", "", n)
            return n * (unit == "kB" ? 1e3 : unit == "MB" ? 1e6 : unit == "GB" ? 1e9 : 1)
        }
        /^Need to get/ { sub(/^Need to get /, ""); sub(/\/[^ ]* [kMG]?B/, ""); sum += bytes($1, $2) }
        /^After this operation,/ && /will be used/ { sum += bytes($4, $5) }
        END { printf "%d\n", sum }'
}

# Keeps the package database and the users outside the layer: images based on it need them, runs do not.
keep_state()
{
    local upper=$1 state=$2 path
    rm -rf "$state"
    mkdir -p "$state/etc" "$state/var/lib"
    [ ! -d "$upper/var/lib/dpkg" ] || mv "$upper/var/lib/dpkg" "$state/var/lib/"
    [ ! -d "$upper/var/lib/ucf" ] || mv "$upper/var/lib/ucf" "$state/var/lib/"
    for path in $users; do
        [ ! -e "$upper/$path" ] || mv "$upper/$path" "$state/etc/"
    done
}

apt_in()
{
    local root=$1
    shift
    in_root "$root" apt-get -q -y --no-install-recommends -o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 \
        -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}

install_into()
{
    local name=$1 root=$2 packages npm file line
    packages=$(wanted "$name" packages)
    npm=$(wanted "$name" npm)
    if [ -n "$packages" ]; then
        # shellcheck disable=SC2086
        apt_in "$root" install $packages || { apt_in "$root" update && apt_in "$root" install $packages; } || return 1
    fi
    if [ -n "$npm" ]; then
        command -v npm >/dev/null || { echo "npm is missing on this machine: sudo apt-get install npm"; return 1; }
        # shellcheck disable=SC2086
        npm install --global --ignore-scripts --no-audit --no-fund --prefix "$root/usr/local" $npm </dev/null ||
            return 1
    fi
    for file in $(wanted "$name" setup_files); do
        install -D -m 0644 "$languages/setup/$file" "$root/usr/local/lib/evalx/$file" || return 1
    done
    while IFS= read -r line; do
        [ -z "$line" ] || in_root "$root" sh -ec "$line" || { echo "setup failed: $line"; return 1; }
    done <<<"$(wanted "$name" setup)"
}

# The packages that are not in the base, including those of lower layers.
layer_packages()
{
    local name=$1 state=$images/.build/state/$1 below
    below=$images/.build/root-$(manifest_suite "$name")/var/lib/dpkg/status
    [ -f "$state/var/lib/dpkg/status" ] || return 0
    { diff <(packages_in "$below") <(packages_in "$state/var/lib/dpkg/status") || true; } | sed -n 's/^> /package /p'
}

manifest_suite()
{
    suite_of "${1%_*}"
}

packages_in()
{
    awk 'BEGIN { RS = ""; FS = "\n" }
        { name = version = size = ""; installed = 0
          for (i = 1; i <= NF; i++) {
              if ($i ~ /^Package: /) name = substr($i, 10)
              else if ($i ~ /^Version: /) version = substr($i, 10)
              else if ($i ~ /^Installed-Size: /) size = substr($i, 17)
              else if ($i ~ /^Status: .* installed$/) installed = 1
          }
          if (installed) print name, version, size "K" }' "$1" | sort
}

# A checksum of every path with its type, mode, owner, and content or link target.
layer_sum()
{
    local layer=$images/.layers/$1
    {
        (cd "$layer" && find . -xdev ! -type f -printf '%P %y %m %U %l\n' | sort)
        (cd "$layer" && find . -xdev -type f -printf '%P %m %U\n' | sort)
        (cd "$layer" && find . -xdev -type f -print0 | sort -z | xargs -0 -r sha256sum)
    } | sha256sum | cut -d ' ' -f 1
}

layer_facts()
{
    local layer=$images/.layers/$1
    echo "layer $1"
    echo "bytes $(du -sB1 "$layer" | cut -f 1)"
    echo "files $(find "$layer" -type f | wc -l)"
    echo "sha256 $(layer_sum "$1")"
}

# layer_problems LAYER SHA256: prints problems and returns 1, or prints nothing and returns 0.
layer_problems()
{
    local layer=$images/.layers/$1 found
    [ -d "$layer" ] || { echo "layer $1 is missing"; return 1; }
    found=$(find "$layer" -xdev \( -perm /6000 -o ! -uid 0 -o \( ! -type l -perm /0022 \) -o \
        ! \( -type f -o -type d -o -type l \) \) | head -n 3)
    [ -z "$found" ] || { echo "files that no image may have: $found"; return 1; }
    found=$(find "$layer/usr/bin" "$layer/usr/lib/apt" "$layer/usr/share/doc" "$layer/usr/share/locale" -maxdepth 1 \
        \( -name apt -o -name apt-get -o -name dpkg -o -path '*/usr/share/doc*' -o -path '*/usr/share/locale*' \) \
        2>/dev/null | head -n 3)
    [ -z "$found" ] || { echo "it contains the package manager or documentation: $found"; return 1; }
    [ "$(layer_sum "$1")" = "$2" ] || { echo "it was changed: its checksum differs from the manifest"; return 1; }
}
