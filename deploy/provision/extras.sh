# extras: what is installed only if it was asked for.
# shellcheck shell=bash disable=SC2154

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
        run curl --fail --silent --show-error --location --retry 3 --output /etc/apt/keyrings/isolate.asc.new \
            https://www.ucw.cz/isolate/debian/signing-key.asc
        run mv /etc/apt/keyrings/isolate.asc.new /etc/apt/keyrings/isolate.asc
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
        run curl --fail --silent --show-error --location --retry 3 --output "$state/amazon-cloudwatch-agent.deb" "$file"
        file=$state/amazon-cloudwatch-agent.deb
    elif [ ! -f "$file" ]; then
        fail "--cloudwatch: there is no $file"
    fi
    without_starting run dpkg --install "$file"
    rm -f "$state/amazon-cloudwatch-agent.deb"
}
