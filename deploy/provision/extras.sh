# extras: optional packages, isolate and the CloudWatch agent, which are installed only on request.
# shellcheck shell=bash disable=SC2154

# fetch URL FILE HINT: downloads a file.  HINT tells the user what to do if the URL is unreachable.  A failed download
# ends the run, because a machine without a requested package would be misconfigured.
fetch()
{
    (run curl --fail --silent --show-error --location --retry 3 --output "$2.new" "$1") ||
        fail "$1 could not be fetched (reason above); $3"
    run mv "$2.new" "$2"
}

# fetch_or_copy FILE|URL TARGET HINT
fetch_or_copy()
{
    if [[ $1 == *://* ]]; then
        fetch "$@"
    elif [ -f "$1" ]; then
        run cp "$1" "$2"
    else
        fail "the file $1 does not exist"
    fi
}

# in_gpg COMMAND...: runs gpg with a temporary home folder, without the settings and keys of any user.
in_gpg()
{
    local home status=0
    home=$(mktemp -d)
    gpg --batch --quiet --no-options --no-autostart --homedir "$home" "$@" || status=$?
    rm -rf "$home"
    return $status
}

key_fingerprints()
{
    in_gpg --show-keys --with-colons "$1" 2>/dev/null |
        awk -F : '$1 == "pub" { main = 1 } $1 == "fpr" && main { print $10; main = 0 }'
}

# install_key KEY TARGET FINGERPRINT HINT: installs a key in the binary format that apt and gpg --keyring require.  If
# FINGERPRINT is not empty, the file must contain exactly that key.
install_key()
{
    local found wanted=${3// /}
    fetch_or_copy "$1" "$2.new" "$4"
    if [ -n "$dry_run" ]; then
        return
    fi
    found=$({ key_fingerprints "$2.new" || true; } | paste -s -d ' ')
    [ -n "$found" ] || fail "$1 contains no key; $4"
    [ -z "$wanted" ] || [ "$found" = "${wanted^^}" ] ||
        fail "the key in $1 is $found, expected ${wanted^^}: it is a foreign key, or the authors changed theirs; $4"
    if grep -q '^-----BEGIN PGP' "$2.new"; then
        run in_gpg --yes --output "$2" --dearmor "$2.new"
    else
        run cp "$2.new" "$2"
    fi
    run chmod 644 "$2"
    rm -f "$2.new"
    note "key $found"
}

isolate_hint="use --isolate-repository and --isolate-key to name a mirror, or put isolate's .deb into the DIR of \
--offline, or omit --isolate: evalx then uses its own sandbox"

install_isolate()
{
    local key=/etc/apt/keyrings/isolate.gpg sources=/etc/apt/sources.list.d/isolate.sources
    if [ -z "$isolate" ]; then
        note "not requested (--isolate)"
        return
    fi
    if has_package isolate; then
        note "already installed: $(dpkg-query -W -f '${Version}' isolate)"
        return
    fi
    # In an offline run, isolate was installed with the other packages.
    [ -z "$offline" ] || fail "isolate's .deb is missing in $offline"
    run mkdir -p /etc/apt/keyrings
    install_key "$isolate_key" $key "$isolate_fingerprint" "$isolate_hint"
    put_text $sources 644 <<TEXT
Types: deb
URIs: $isolate_repository
Suites: $codename-isolate
Components: main
Architectures: $(dpkg --print-architecture)
Signed-By: $key
TEXT
    # Update only this source, because the others were read before.  An unreadable source is an error.
    if ! (apt update -o Dir::Etc::SourceList=$sources -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any &&
        without_starting apt install --no-install-recommends isolate); then
        # A source that fails would make every later `apt-get update` fail.
        rm -f $sources $key
        fail "isolate could not be installed from $isolate_repository (reason above); $isolate_hint"
    fi
}

# signed_by KEYRING FILE: is FILE.sig a signature of FILE by a key in KEYRING?
signed_by()
{
    in_gpg --no-default-keyring --keyring "$1" --trust-model always --verify "$2.sig" "$2"
}

agent_hint="download it and its .sig elsewhere and use --cloudwatch FILE, or omit --cloudwatch: the machine then sends \
no metrics"

# verify_signature FILE KEY: fails unless AWS signed the file.
verify_signature()
{
    install_key "$2" "$state/cloudwatch-key.gpg" "$cloudwatch_fingerprint" "$agent_hint"
    (run signed_by "$state/cloudwatch-key.gpg" "$1") ||
        fail "the signature of the CloudWatch agent is not valid (reason above): the file was changed or is incomplete"
    run rm -f "$state/cloudwatch-key.gpg"
}

# Only installs the agent.  User data starts it, with the settings of deploy/cloudwatch/.
install_cloudwatch()
{
    local file=$cloudwatch at=https://amazoncloudwatch-agent.s3.amazonaws.com family=debian
    if [ -z "$cloudwatch" ]; then
        note "not requested (--cloudwatch)"
        return
    fi
    if has_package amazon-cloudwatch-agent; then
        note "already installed: $(dpkg-query -W -f '${Version}' amazon-cloudwatch-agent)"
        return
    fi
    [ "$(os_value ID)" != ubuntu ] || family=ubuntu
    if [ "$file" = default ]; then
        file=$at/$family/$(dpkg --print-architecture)/latest/amazon-cloudwatch-agent.deb
    fi
    if [[ $file == *://* ]]; then
        local from=$file
        file=$state/amazon-cloudwatch-agent.deb
        fetch "$from" "$file" "$agent_hint"
        fetch "$from.sig" "$file.sig" "$agent_hint"
        verify_signature "$file" "${cloudwatch_key:-$at/assets/amazon-cloudwatch-agent.gpg}"
    elif [ ! -f "$file" ]; then
        fail "--cloudwatch: the file $file does not exist"
    elif [ -f "$file.sig" ]; then
        verify_signature "$file" "${cloudwatch_key:-${file%/*}/amazon-cloudwatch-agent.gpg}"
    else
        note "its signature is not verified: $file.sig does not exist"
    fi
    without_starting run dpkg --install "$file"
    rm -f "$state/amazon-cloudwatch-agent.deb" "$state/amazon-cloudwatch-agent.deb.sig"
}
