# root_common: minimal roots of a distribution, and commands run in them.  Sourced after common.sh.
# shellcheck shell=sh

# root_scratch NAME: $folder for a root, removed at the end together with what runs in it ($inside), also on failure.
root_scratch()
{
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/evalx-$1-XXXXXX")
    # shellcheck disable=SC2034 # of who sources this
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
        kill "$inside" 2>/dev/null || true
        wait "$inside" 2>/dev/null || true
    fi
    # Its mounts were in a namespace that ended with it; should one be left, rm must not go through it.
    rm -rf --one-file-system "$folder"
}

# How this machine reaches its package mirror (proxies, trust, dates) holds in the new root as well.
apt_options()
{
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|AllowInsecure)' | grep -v '""' || true
}

# host_sources SUITE: the distribution's own sources of this machine; others (and their keys) have no business there.
host_sources()
{
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$1" '($1 == "Debian" || $1 == "Ubuntu") && index($3, suite) == 1 {
            print "deb", $2, $3, $4
        }' |
        sort -u
}

keyring_of()
{
    case $1 in
    bookworm | trixie | forky | sid) echo debian-archive-keyring ;;
    *) case $(. /etc/os-release && echo "$ID") in
        ubuntu) echo ubuntu-keyring ;;
        *) echo ubuntu-archive-keyring ;;
        esac ;;
    esac
}

# root_make SUITE MIRROR FOLDER [MMDEBSTRAP OPTIONS]: FOLDER/root.  An empty MIRROR: this machine's.
root_make()
{
    root_suite=$1
    root_mirror=$2
    root_folder=$3
    shift 3
    has_package "$(keyring_of "$root_suite")" || install_packages "$(keyring_of "$root_suite")"
    root_sources=
    if [ -z "$root_mirror" ] && [ "$root_suite" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]; then
        [ -n "$(host_sources "$root_suite")" ] || quietly "$root_folder/update.log" apt-get update
        root_sources=$(host_sources "$root_suite")
    fi
    set -- --variant=minbase "$@"
    case $root_suite in
    bookworm | trixie | forky | sid) ;;
    *) set -- "$@" --components=main,universe ;;
    esac
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
