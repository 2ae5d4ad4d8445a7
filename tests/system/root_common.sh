# root_common: minimal root file systems of a distribution for tests.  Sourced after common.sh.
# shellcheck shell=sh
. deploy/images/keys.sh

# root_scratch NAME: makes $folder for a root.  At the end, also on failure, $inside is killed and $folder removed.
root_scratch()
{
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/evalx-$1-XXXXXX")
    root_scratch_folder=$folder # $folder may be reassigned, so this is what is removed
    # shellcheck disable=SC2034 # used by the sourcing script
    root=$folder/root
    inside=
    trap root_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

root_cleanup()
{
    trap '' INT TERM
    if [ -n "$inside" ]; then
        # -9, because unshare(1) ignores SIGTERM while it waits.  All processes in its namespaces end with it.
        kill -9 "$inside" 2>/dev/null || true
        wait "$inside" 2>/dev/null || true
    fi
    # Its mounts ended with their namespace.  If one is left, rm must not descend into it.
    rm -rf --one-file-system "$root_scratch_folder"
}

# How this machine reaches its package mirror (proxies, trust, dates); the new root needs the same.
apt_options()
{
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|AllowInsecure)' | grep -v '""' || true
}

# host_sources SUITE: the sources of the distribution on this machine.  Third-party sources are left out.
host_sources()
{
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$1" '($1 == "Debian" || $1 == "Ubuntu") && index($3, suite) == 1 {
            print "deb", $2, $3, $4
        }' |
        sort -u
}

is_debian()
{
    case $1 in
    bookworm | trixie | forky | sid) return 0 ;;
    *) return 1 ;;
    esac
}

# keys_of SUITE FOLDER: sets $keys, the option with the keyring of the distribution of SUITE.
keys_of()
{
    keys=
    if is_debian "$1"; then
        has_package debian-archive-keyring || install_packages debian-archive-keyring
        keys_file=/usr/share/keyrings/debian-archive-keyring.gpg
    else
        keys_file=/usr/share/keyrings/ubuntu-archive-keyring.gpg
        if [ ! -f "$keys_file" ]; then
            say "fetching Ubuntu's keys (from Debian 13)"
            ubuntu_keys "$2" "$(host_sources "$(. /etc/os-release && echo "$VERSION_CODENAME")" |
                awk '$3 !~ /-security|-updates/ { print $2; exit }')" || fail "a root of $1 needs its keys"
            keys_file=$2/ubuntu-archive-keyring.gpg
        fi
    fi
    keys=--keyring=$keys_file
}

# root_make SUITE MIRROR FOLDER [MMDEBSTRAP OPTIONS]: makes FOLDER/root.  If MIRROR is empty, that of this machine.
root_make()
{
    root_suite=$1
    root_mirror=$2
    root_folder=$3
    shift 3
    keys_of "$root_suite" "$root_folder"
    root_sources=
    if [ -z "$root_mirror" ] && [ "$root_suite" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]; then
        [ -n "$(host_sources "$root_suite")" ] || quietly "$root_folder/update.log" apt-get update
        root_sources=$(host_sources "$root_suite")
    fi
    set -- --variant=minbase "$keys" "$@"
    # Ubuntu's minimal system has no apt.
    is_debian "$root_suite" || set -- "$@" --components=main,universe --include=apt
    apt_options >"$root_folder/apt.conf"
    [ ! -s "$root_folder/apt.conf" ] || set -- "$@" "--aptopt=$root_folder/apt.conf"
    case $root_sources$root_mirror in
    *https://*) set -- "$@" --include=ca-certificates ;;
    esac
    set -- "$@" "$root_suite" "$root_folder/root"
    if [ -n "$root_sources" ]; then
        printf '%s\n' "$root_sources" >"$root_folder/sources.list"
        set -- "$@" "$root_folder/sources.list"
    elif [ -n "$root_mirror" ]; then
        set -- "$@" "$root_mirror"
    fi
    say "making a minimal $root_suite"
    quietly "$root_folder/mmdebstrap.log" mmdebstrap "$@" || fail "mmdebstrap failed"
    cp -L /etc/resolv.conf /etc/hosts "$root_folder/root/etc/" 2>/dev/null || true
}

# root_trust FOLDER: copies the local certificate authorities of this machine, such as that of a proxy, to FOLDER/root,
# which must have ca-certificates.  npm has its own list of authorities, so it is configured too.
root_trust()
{
    [ -n "$(find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null)" ] || return 0
    cp -L /usr/local/share/ca-certificates/*.crt "$1/root/usr/local/share/ca-certificates/"
    quietly "$1/trust.log" chroot "$1/root" update-ca-certificates || fail "the root's authorities could not be set"
    echo cafile=/etc/ssl/certs/ca-certificates.crt >"$1/root/root/.npmrc"
}
