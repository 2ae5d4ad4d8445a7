# extras: what is installed only if it was asked for.
# shellcheck shell=bash disable=SC2154

# fetch URL FILE WORDS: a file from elsewhere; the words say what to do where that cannot be reached.  What was asked
# for and cannot be had ends the run: a machine without it would not be what it is taken for.
fetch()
{
    (run curl --fail --silent --show-error --location --retry 3 --output "$2.new" "$1") ||
        fail "$1 could not be fetched (above: why); $3"
    run mv "$2.new" "$2"
}

# take KEY TARGET WORDS: a file from here or from elsewhere.
take()
{
    if [[ $1 == *://* ]]; then
        fetch "$@"
    elif [ -f "$1" ]; then
        run cp "$1" "$2"
    else
        fail "there is no file $1"
    fi
}

# in_gpg COMMAND...: with a folder of its own, that is gone afterwards, and nobody's settings or keys.
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

# take_key KEY TARGET FINGERPRINT WORDS: a key as apt and gpg --keyring want it.  Where a fingerprint is given, the file
# holds that key and no other.
take_key()
{
    local found wanted=${3// /}
    take "$1" "$2.new" "$4"
    if [ -n "$dry_run" ]; then
        return
    fi
    found=$({ key_fingerprints "$2.new" || true; } | paste -s -d ' ')
    [ -n "$found" ] || fail "$1 holds no key; $4"
    [ -z "$wanted" ] || [ "$found" = "${wanted^^}" ] ||
        fail "the key of $1 is $found, expected was ${wanted^^}: somebody else's, or a new one of theirs; $4"
    if grep -q '^-----BEGIN PGP' "$2.new"; then
        run in_gpg --yes --output "$2" --dearmor "$2.new"
    else
        run cp "$2.new" "$2"
    fi
    run chmod 644 "$2"
    rm -f "$2.new"
    note "key $found"
}

isolate_words="--isolate-repository and --isolate-key name a mirror; or put isolate's .deb into the DIR of --offline; \
without --isolate evalx uses its own sandbox"

install_isolate()
{
    local key=/etc/apt/keyrings/isolate.gpg sources=/etc/apt/sources.list.d/isolate.sources
    if [ -z "$isolate" ]; then
        note "not asked for (--isolate)"
        return
    fi
    if has_package isolate; then
        note "is there: $(dpkg-query -W -f '${Version}' isolate)"
        return
    fi
    # Offline it came with the other packages.
    [ -z "$offline" ] || fail "isolate's .deb is not in $offline"
    run mkdir -p /etc/apt/keyrings
    take_key "$isolate_key" $key "$isolate_fingerprint" "$isolate_words"
    put_text $sources 644 <<TEXT
Types: deb
URIs: $isolate_repository
Suites: $codename-isolate
Components: main
Architectures: $(dpkg --print-architecture)
Signed-By: $key
TEXT
    # This source alone, as the others were read already; one that cannot be read is an error.
    if ! (apt update -o Dir::Etc::SourceList=$sources -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any &&
        without_starting apt install --no-install-recommends isolate); then
        # Left behind it would spoil each later update of packages.
        rm -f $sources $key
        fail "isolate could not be had from $isolate_repository (above: why); $isolate_words"
    fi
}

# signed_by KEYRING FILE: FILE.sig is a signature of FILE by a key of KEYRING.
signed_by()
{
    in_gpg --no-default-keyring --keyring "$1" --trust-model always --verify "$2.sig" "$2"
}

agent_words="download it and its .sig elsewhere and give --cloudwatch FILE, or leave --cloudwatch out: no metrics are \
sent then"

# hold_to_signature FILE KEY: what AWS did not sign is not installed.
hold_to_signature()
{
    take_key "$2" "$state/cloudwatch-key.gpg" "$cloudwatch_fingerprint" "$agent_words"
    (run signed_by "$state/cloudwatch-key.gpg" "$1") ||
        fail "this CloudWatch agent is not what its authors signed (above: why): changed on the way, or half there"
    run rm -f "$state/cloudwatch-key.gpg"
}

# The agent is started by user data, which knows its settings (deploy/cloudwatch/); here it is only installed.
install_cloudwatch()
{
    local file=$cloudwatch at=https://amazoncloudwatch-agent.s3.amazonaws.com family=debian
    if [ -z "$cloudwatch" ]; then
        note "not asked for (--cloudwatch)"
        return
    fi
    if has_package amazon-cloudwatch-agent; then
        note "is there: $(dpkg-query -W -f '${Version}' amazon-cloudwatch-agent)"
        return
    fi
    [ "$(os_value ID)" != ubuntu ] || family=ubuntu
    if [ "$file" = default ]; then
        file=$at/$family/$(dpkg --print-architecture)/latest/amazon-cloudwatch-agent.deb
    fi
    if [[ $file == *://* ]]; then
        local from=$file
        file=$state/amazon-cloudwatch-agent.deb
        fetch "$from" "$file" "$agent_words"
        fetch "$from.sig" "$file.sig" "$agent_words"
        hold_to_signature "$file" "${cloudwatch_key:-$at/assets/amazon-cloudwatch-agent.gpg}"
    elif [ ! -f "$file" ]; then
        fail "--cloudwatch: there is no $file"
    elif [ -f "$file.sig" ]; then
        hold_to_signature "$file" "${cloudwatch_key:-${file%/*}/amazon-cloudwatch-agent.gpg}"
    else
        note "its signature is not looked at: there is no $file.sig"
    fi
    without_starting run dpkg --install "$file"
    rm -f "$state/amazon-cloudwatch-agent.deb" "$state/amazon-cloudwatch-agent.deb.sig"
}
