# evalx: the binary (built, or given with --binary), language files, manual page, completions, settings and units.
# shellcheck shell=bash disable=SC2154

make_account()
{
    if ! getent passwd evalx >/dev/null; then
        run useradd --system --user-group --home-dir /var/lib/evalx --no-create-home --shell /usr/sbin/nologin evalx
    fi
    make_folder /etc/evalx 755
    make_folder /opt/evalx/chroots 755
    # At its first start, evalx changes the owner to its user and removes access for others.
    make_folder /var/lib/evalx 700
}

make_folder()
{
    if [ ! -d "$1" ]; then
        run mkdir -p "$1"
        run chmod "$2" "$1"
    fi
}

# The checksum of all inputs of the build.
build_sum()
{
    {
        echo "$release" "$(uname -m)"
        (cd "$clone" && find src meson.build meson_options.txt tools/embed.py -type f -print0 | sort -z |
            xargs -0 sha256sum)
    } | sha256sum | cut -d ' ' -f 1
}

build_evalx()
{
    local folder=$state/build sum
    sum=$(build_sum)
    if is_done build "$sum" && [ -x /usr/local/bin/evalx ]; then
        note "already built from these sources"
        return
    fi
    if [ -n "$dry_run" ]; then
        note "would build $clone"
        return
    fi
    note "building $clone (takes some minutes)"
    rm -rf "$folder"
    # A new warning of an untested compiler must not prevent the installation.
    run meson setup "$folder" "$clone" -Dtests=false -Dwerror=false
    run ninja -C "$folder"
    put "$folder/evalx" /usr/local/bin/evalx 755
    rm -rf "$folder"
    mark_done build "$sum"
}

install_evalx()
{
    if [ -n "$binary" ]; then
        put "$binary" /usr/local/bin/evalx 755
    else
        build_evalx
        record_file /usr/local/bin/evalx
    fi
    if [ -z "$dry_run" ]; then
        ! ldd /usr/local/bin/evalx | grep 'not found' >&2 ||
            fail "evalx was built for another release: libraries are missing (above); build it on $release"
        run /usr/local/bin/evalx version
        note "$(/usr/local/bin/evalx version | head -n 1)"
    fi
    put "$clone/man/evalx.1" /usr/local/share/man/man1/evalx.1 644
    put "$clone/completions/evalx.bash" /usr/share/bash-completion/completions/evalx 644
    # The tests of the languages are included, so that `evalx languages verify` works on this machine.
    install_languages
    put "$clone/deploy/images/evalx-images" /usr/local/lib/evalx/evalx-images 755
    put_folder "$clone/deploy/images/evalx_images" /usr/local/lib/evalx/evalx_images
    put "$clone/deploy/images/keys.sh" /usr/local/lib/evalx/keys.sh 644
    if [ "$(readlink /usr/local/bin/evalx-images 2>/dev/null)" != ../lib/evalx/evalx-images ]; then
        run ln -sfn ../lib/evalx/evalx-images /usr/local/bin/evalx-images
    fi
}

install_settings()
{
    local file
    put_once "$here/etc/evalx.env" /etc/evalx/evalx.env 640 root:evalx
    put_once "$here/etc/evalx.conf" /etc/evalx/evalx.conf 644
    for file in "$here"/cloudwatch/*.json "$here"/cloudwatch/*.yaml; do
        [ ! -f "$file" ] || put "$file" "/etc/evalx/$(basename "$file")" 644
    done
}

# The extra files for AWS instances (deploy/aws/) are installed everywhere; only user data enables them.
install_units()
{
    local file
    for file in "$here"/libexec/* "$here"/aws/fetch-secret "$here"/aws/lifecycle-drain "$here"/aws/evalx-aws; do
        [ ! -f "$file" ] || put "$file" "/usr/libexec/evalx/$(basename "$file")" 755
    done
    for file in "$here"/systemd/*.service "$here"/systemd/*.target "$here"/aws/*.service; do
        [ ! -f "$file" ] || put "$file" "/etc/systemd/system/$(basename "$file")" 644
    done
    if has_systemd; then
        run systemctl daemon-reload
    fi
    # Every machine needs the egress firewall.  evalx.service is enabled once the machine has a role.
    if ! systemctl is-enabled -q evalx-egress-firewall.service 2>/dev/null; then
        run systemctl enable evalx-egress-firewall.service
    fi
}
