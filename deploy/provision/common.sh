# common: output, changes to the machine, and stamps of build_ami.sh.  Everything that changes the machine goes through
# run, put, put_text or mark_done.  In a dry run these functions only print what they would do.
# shellcheck shell=bash disable=SC2154 # build_ami.sh sets the options

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
        printf 'build_ami: step "%s" failed; run the same command again to resume with it (log: %s)\n' \
            "$current_step" "$state/log" >&2
}
trap on_exit EXIT

# run COMMAND...: appends its output to the log, and shows the output if the command fails.
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

# put FILE TARGET MODE [OWNER]: installs a file unless TARGET already has the same content, mode and owner.
put()
{
    local file=$1 target=$2 mode=$3 owner=${4:-root:root}
    record_file "$target"
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

# put_text TARGET MODE [OWNER]: installs the text on standard input.
put_text()
{
    local text
    text=$(mktemp)
    cat >"$text"
    put "$text" "$@"
    rm -f "$text"
}

# put_folder FOLDER TARGET: installs all files below FOLDER except *.md, and reports them in one line.
put_folder()
{
    local file files
    mapfile -t files < <(cd "$1" && find . -type f ! -name '*.md' -printf '%P\n' | sort)
    for file in "${files[@]}"; do
        record_file "$2/$file"
    done
    # Files that the operator added are kept.
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

# put_once FILE TARGET MODE OWNER: installs a file that the operator edits.  An existing file is never overwritten.
put_once()
{
    files_once+=("$2")
    [ -e "$2" ] || put "$@"
}

# The installed files, for the manifest, and those among them that the operator edits.
files_put=()
files_once=()
record_file()
{
    files_put+=("$1")
}

# is_done STEP SUM: was this step completed with the same inputs (SUM is their checksum)?
is_done()
{
    [ -z "$force" ] && [ -f "$state/done/$1" ] && [ "$(cat "$state/done/$1")" = "$2" ]
}

mark_done()
{
    if [ -n "$dry_run" ]; then
        return
    fi
    printf '%s\n' "$2" >"$state/done/$1.new"
    mv -f "$state/done/$1.new" "$state/done/$1"
}

take_lock()
{
    if [ -n "$dry_run" ]; then
        return
    fi
    mkdir -p "$state/done"
    chmod 0755 "$state"
    exec 8>"$state/lock"
    flock -n 8 || fail "another build_ami.sh is running on this machine; wait for it to end"
}

# In a chroot, units can be enabled but not started.
has_systemd()
{
    [ -d /run/systemd/system ]
}

# os_value KEY: the value of KEY in /etc/os-release.
os_value()
{
    # shellcheck source=/dev/null
    (. /etc/os-release && printf '%s' "${!1:-}")
}

check_system()
{
    [ -f /etc/os-release ] || fail "this system is neither Debian nor Ubuntu: /etc/os-release is missing"
    release="$(os_value ID) $(os_value VERSION_ID)"
    # shellcheck disable=SC2034 # read by the other files
    codename=$(os_value VERSION_CODENAME)
    case $release in
    "ubuntu 24.04" | "debian 12" | "debian 13") ;;
    *)
        [ -n "$any_system" ] ||
            fail "$release is not supported: use Ubuntu 24.04, Debian 12 or Debian 13, or try --any-system"
        ;;
    esac
    command -v apt-get >/dev/null || fail "apt-get is missing"
}

check_options()
{
    local file
    for file in "$binary" "$images_tar"; do
        [ -z "$file" ] || [ -f "$file" ] || fail "the file $file does not exist"
    done
    if [ -n "$offline" ]; then
        [ -d "$offline" ] || fail "--offline: the folder $offline does not exist"
        offline=$(readlink -f "$offline")
        [ -n "$images_tar" ] || [ ! -f "$offline/images.tar" ] || images_tar=$offline/images.tar
        if [ "$cloudwatch" = default ]; then
            cloudwatch=$offline/amazon-cloudwatch-agent.deb
            [ -f "$cloudwatch" ] || fail "--cloudwatch: the file $cloudwatch does not exist"
        fi
        if [ -z "$images_tar" ] && [ "$images" != none ]; then
            fail "--offline: images cannot be built without a mirror; put images.tar into $offline or add --images none"
        fi
    fi
    [ -z "$images_tar" ] || images=none
    [ -f "$clone/meson.build" ] || fail "$clone is not a clone of evalx: meson.build is missing"
}
