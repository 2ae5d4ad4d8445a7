# common: how build_ami.sh talks, changes things, and remembers.  Everything that changes the machine goes through
# run, put, put_text or remember, which in a dry run only say so.
# shellcheck shell=bash disable=SC2154 # the options are build_ami.sh's

say()
{
    printf '[%4d s] %s\n' $((SECONDS - began)) "$*"
}

note()
{
    printf '         %s\n' "$*"
}

fail()
{
    printf 'build_ami: %s\n' "$*" >&2
    exit 1
}

# step NAME FUNCTION
step()
{
    current_step=$1
    say "$1"
    "$2"
}

on_exit()
{
    local status=$?
    [ $status -eq 0 ] || [ -z "${current_step:-}" ] ||
        printf 'build_ami: step "%s" did not end; run the same command again, it goes on there (log: %s)\n' \
            "$current_step" "$state/log" >&2
}
trap on_exit EXIT

# run COMMAND...: with its output in the log, shown where it fails.
run()
{
    if [ -n "$dry_run" ]; then
        note "would run: $*"
        return
    fi
    local from
    from=$(stat -c %s "$state/log" 2>/dev/null || echo 0)
    printf -- '--- %s: %s\n' "$(date -u +%FT%TZ)" "$*" >>"$state/log"
    if ! "$@" >>"$state/log" 2>&1 </dev/null; then
        tail -c +$((from + 1)) "$state/log" | tail -n 40 >&2
        fail "failed: $*"
    fi
}

# put FILE TARGET MODE [OWNER]: installs a file if it is not there with the same bytes, mode and owner.
put()
{
    local file=$1 target=$2 mode=$3 owner=${4:-root:root}
    remember_file "$target"
    if cmp -s "$file" "$target" && [ "$(stat -c '%a %U:%G' "$target")" = "$mode $owner" ]; then
        return
    fi
    if [ -n "$dry_run" ]; then
        note "would install: $target"
        return
    fi
    mkdir -p "${target%/*}"
    install -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$file" "$target.new"
    mv -f "$target.new" "$target"
    note "installed: $target"
}

# put_text TARGET MODE [OWNER], the text on standard input.
put_text()
{
    local text
    text=$(mktemp)
    cat >"$text"
    put "$text" "$@"
    rm -f "$text"
}

# put_folder FOLDER TARGET: every *.conf below it.  As a whole: there are many.
put_folder()
{
    local file files
    mapfile -t files < <(cd "$1" && find . -type f ! -name '*.md' -printf '%P\n' | sort)
    for file in "${files[@]}"; do
        remember_file "$2/$file"
    done
    # What the operator added there stays.
    if ! { diff -rq --exclude='*.md' "$1" "$2" 2>&1 || true; } | grep -qv "^Only in $2[:/]"; then
        return
    fi
    if [ -n "$dry_run" ]; then
        note "would install: ${#files[@]} files in $2"
        return
    fi
    mkdir -p "$2"
    (cd "$1" && cp --parents --no-preserve=all --target-directory="$2" -- "${files[@]}")
    chmod -R u=rwX,go=rX "$2"
    note "installed: ${#files[@]} files in $2"
}

# put_once FILE TARGET MODE OWNER: for what the operator edits; never overwritten.
put_once()
{
    files_once+=("$2")
    [ -e "$2" ] || put "$@"
}

# What was installed, for the manifest; and what of it is the operator's to edit.
files_put=()
files_once=()
remember_file()
{
    files_put+=("$1")
}

# is_done STEP SUM: did this step end with all that it depends on as it is now?
is_done()
{
    [ -z "$force" ] && [ -f "$state/done/$1" ] && [ "$(cat "$state/done/$1")" = "$2" ]
}

remember()
{
    if [ -n "$dry_run" ]; then
        return
    fi
    printf '%s\n' "$2" >"$state/done/$1.new"
    mv -f "$state/done/$1.new" "$state/done/$1"
}

only_one_at_a_time()
{
    if [ -n "$dry_run" ]; then
        return
    fi
    mkdir -p "$state/done"
    chmod 0755 "$state"
    exec 8>"$state/lock"
    flock -n 8 || fail "another build_ami.sh is at work on this machine"
}

# Units can be enabled in a chroot, started only where systemd runs.
has_systemd()
{
    [ -d /run/systemd/system ]
}

# os_value KEY: of /etc/os-release.
os_value()
{
    # shellcheck source=/dev/null
    (. /etc/os-release && printf '%s' "${!1:-}")
}

look_at_machine()
{
    [ -f /etc/os-release ] || fail "this is no Debian or Ubuntu: there is no /etc/os-release"
    release="$(os_value ID) $(os_value VERSION_ID)"
    # shellcheck disable=SC2034 # read by the other parts
    codename=$(os_value VERSION_CODENAME)
    case $release in
    "ubuntu 24.04" | "debian 12" | "debian 13") ;;
    *)
        [ -n "$any_system" ] ||
            fail "this is $release; made for Ubuntu 24.04 and Debian 12 and 13 (--any-system goes on all the same)"
        ;;
    esac
    command -v apt-get >/dev/null || fail "there is no apt-get"
}

look_at_options()
{
    local file
    for file in "$binary" "$images_tar"; do
        [ -z "$file" ] || [ -f "$file" ] || fail "there is no file $file"
    done
    if [ -n "$offline" ]; then
        [ -d "$offline" ] || fail "--offline: there is no folder $offline"
        offline=$(readlink -f "$offline")
        [ -n "$images_tar" ] || [ ! -f "$offline/images.tar" ] || images_tar=$offline/images.tar
        if [ "$cloudwatch" = default ]; then
            cloudwatch=$offline/amazon-cloudwatch-agent.deb
            [ -f "$cloudwatch" ] || fail "--cloudwatch: there is no $cloudwatch"
        fi
        if [ -z "$images_tar" ] && [ "$images" != none ]; then
            fail "--offline: images cannot be built without a mirror: put images.tar into $offline, or --images none"
        fi
    fi
    [ -z "$images_tar" ] || images=none
    [ -f "$clone/meson.build" ] || fail "$clone is no clone of evalx: meson.build is missing"
}
