# keys: the keys that sign the archive of another distribution.  Used by evalx-images and by scripts of tests.
# shellcheck shell=sh

# ubuntu_keys FOLDER [MIRROR]: makes FOLDER/ubuntu-archive-keyring.gpg.  Debian 12 has no package of Ubuntu's keys, so
# they are extracted from the package of Debian 13, which is downloaded from MIRROR (a mirror of Debian) but not
# installed.  Debian's keys on this machine verify that package.  apt's output goes to FOLDER/keys.log.
ubuntu_keys()
{
    [ ! -s "$1/ubuntu-archive-keyring.gpg" ] || return 0
    ubuntu_keys_debian=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -f $ubuntu_keys_debian ]; then
        echo "the keys of Ubuntu and Debian are missing: install ubuntu-keyring or debian-archive-keyring" >&2
        return 1
    fi
    ubuntu_keys_work=$(cd "$1" && pwd)/keys.new
    rm -rf "$ubuntu_keys_work"
    mkdir -p "$ubuntu_keys_work/lists/partial" "$ubuntu_keys_work/cache/archives/partial"
    echo "deb [signed-by=$ubuntu_keys_debian] ${2:-http://deb.debian.org/debian} trixie main" \
        >"$ubuntu_keys_work/sources.list"
    if ! (
        cd "$ubuntu_keys_work" || exit 1
        set -- -q -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
            -o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" -o APT::Sandbox::User=root \
            -o Acquire::Languages=none
        apt-get "$@" update && apt-get "$@" download ubuntu-keyring && dpkg-deb -x ubuntu-keyring_*.deb files &&
            mv files/usr/share/keyrings/ubuntu-archive-keyring.gpg ..
    ) >"$1/keys.log" 2>&1 </dev/null; then
        tail -n 10 "$1/keys.log" >&2
        echo "Ubuntu's keys could not be fetched from Debian 13 (reason above); install the package ubuntu-keyring" >&2
        return 1
    fi
    rm -rf "$ubuntu_keys_work"
}
