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

install_isolate()
{
    if [ -z "$isolate" ]; then
        note "not asked for (--isolate)"
        return
    fi
    if has_package isolate; then
        note "is there"
        return
    fi
    # Offline it came with the other packages.
    [ -z "$offline" ] || fail "isolate's .deb is not in $offline"
    if [ ! -s /etc/apt/keyrings/isolate.asc ]; then
        run mkdir -p /etc/apt/keyrings
        fetch https://www.ucw.cz/isolate/debian/signing-key.asc /etc/apt/keyrings/isolate.asc \
            "without --isolate evalx uses its own sandbox; or put isolate's .deb into the DIR of --offline"
    fi
    put_text /etc/apt/sources.list.d/isolate.sources 644 <<TEXT
Types: deb
URIs: http://www.ucw.cz/isolate/debian/
Suites: $codename-isolate
Components: main
Architectures: $(dpkg --print-architecture)
Signed-By: /etc/apt/keyrings/isolate.asc
TEXT
    apt update
    without_starting apt install --no-install-recommends isolate
}

# The agent is started by user data, which knows its settings (deploy/cloudwatch/); here it is only installed.
install_cloudwatch()
{
    local file=$cloudwatch family=debian
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
        file=https://amazoncloudwatch-agent.s3.amazonaws.com/$family/$(dpkg --print-architecture)/latest
        file=$file/amazon-cloudwatch-agent.deb
    fi
    if [[ $file == *://* ]]; then
        fetch "$file" "$state/amazon-cloudwatch-agent.deb" \
            "download it elsewhere and give --cloudwatch FILE, or leave --cloudwatch out: no metrics are sent then"
        file=$state/amazon-cloudwatch-agent.deb
    elif [ ! -f "$file" ]; then
        fail "--cloudwatch: there is no $file"
    fi
    without_starting run dpkg --install "$file"
    rm -f "$state/amazon-cloudwatch-agent.deb"
}
