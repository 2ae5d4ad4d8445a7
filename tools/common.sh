# common: shared by the steps of ./dev.  Sourced by sh scripts whose working directory is the root of the repository.
# shellcheck shell=sh
export LC_ALL=C.UTF-8
export PATH="$PATH:/usr/sbin:/sbin"
build=${EVALX_BUILD:-build}
# shellcheck disable=SC2034 # used by dev
build_asan=$build-asan
dev_started=${dev_started:-$(date +%s)}
export dev_started

say()
{
    printf '[%4d s] %s\n' $(($(date +%s) - dev_started)) "$*"
}

fail()
{
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

need_root()
{
    [ "$(id -u)" -eq 0 ] || fail "$1 needs root: run it again as  sudo ./dev ${command:-}"
}

# show_progress LOG: until it is killed or this script has ended, prints the last line of LOG every 10 seconds.
show_progress()
{
    ticks=0
    while kill -0 $$ 2>/dev/null && sleep 1 >/dev/null 2>&1; do
        ticks=$((ticks + 1))
        [ $((ticks % 10)) -ne 0 ] || say "... $(tail -n 1 "$1" 2>/dev/null | tr -cd '[:print:]' | cut -c 1-100)"
    done
}

# quietly LOG COMMAND...: writes the output to LOG, and shows it only if the command fails; a long one shows progress.
quietly()
{
    quietly_log=$1
    shift
    quietly_status=0
    show_progress "$quietly_log" </dev/null &
    quietly_progress=$!
    "$@" </dev/null >"$quietly_log" 2>&1 || quietly_status=$?
    kill "$quietly_progress" 2>/dev/null || true
    wait "$quietly_progress" 2>/dev/null || true
    if [ "$quietly_status" -ne 0 ]; then
        printf '%s\n' "--- failed: $*" >&2
        tail -n 60 "$quietly_log" >&2
        return 1
    fi
}

# Packages of the distribution, by step.  They are installed without recommended packages, so libc6-dev and the like are
# listed.  libcmocka-dev is needed in every build, because demo and test share one build folder.
packages_build="gcc g++ libc6-dev meson ninja-build pkg-config python3 libmicrohttpd-dev libjansson-dev libhiredis-dev
    libsqlite3-dev libinih-dev nettle-dev libseccomp-dev libcurl4-gnutls-dev libwslay-dev libcmocka-dev libssl-dev"
packages_pytest="python3-pytest python3-pytest-xdist"
packages_test="$packages_pytest mmdebstrap spin python3-hypothesis python3-websockets redis-server openssl iproute2
    util-linux mount ruby"
packages_lint="python3-pyflakes shellcheck clang-tidy clang-format codespell git python3-pytest"

packages_of()
{
    case $1 in
    demo) echo "$packages_build" ;;
    chaos) echo "$packages_build" redis-server iproute2 util-linux ;;
    bench) echo "$packages_build" redis-server bubblewrap nodejs default-jdk-headless ruby php-cli ;;
    test-fast) echo "$packages_build" "$packages_pytest" ;;
    test) echo "$packages_build" "$packages_test" nodejs default-jdk-headless ;;
    coverage) echo "$packages_build" "$packages_pytest" gcovr ;;
    lint) echo "$packages_build" "$packages_lint" ;;
    fuzz) echo "$packages_build" clang ;;
    images) echo "$packages_build" mmdebstrap npm ;;
    fresh) echo mmdebstrap gnupg ;;
    test-vm) echo "$packages_build" mmdebstrap qemu-system-x86 e2fsprogs ;;
    test-container) echo mmdebstrap buildah runc iproute2 linux-libc-dev python3 python3-yaml ;;
    test-aws) echo "$packages_build" redis-server openssl iproute2 util-linux mount shellcheck systemd python3-venv \
        python3-pytest python3-yaml curl ;;
    *) fail "install: no step called '$1'" ;;
    esac
}

# True if dpkg has the package, or if its program comes from another source (nodejs, JDKs).
has_package()
{
    case $1 in
    default-jdk-headless) [ -x /usr/bin/javac ] && return 0 ;;
    npm) [ -x /usr/bin/npm ] && return 0 ;;
    pkg-config) [ -x /usr/bin/pkg-config ] && return 0 ;;
    libcurl4-gnutls-dev) has_package libcurl4-openssl-dev && return 0 ;;
    esac
    dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q 'ok installed'
}

install_for()
{
    missing=
    for package in $(packages_of "$1"); do
        has_package "$package" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        install_packages "$missing"
    fi
    case $1 in test | bench) install_plugin_headers ;; esac
    if [ "$1" = fuzz ]; then
        # The package of libFuzzer's run-time library has the version of clang in its name.
        version=$(clang -dumpversion | cut -d. -f1)
        has_package "libclang-rt-$version-dev" || install_packages "libclang-rt-$version-dev"
    fi
}

# Used to precompile C++ headers (languages/prepare).  Without them C++ only compiles more slowly.
install_plugin_headers()
{
    if [ "$(id -u)" -eq 0 ] && [ ! -f "$(g++ -print-file-name=plugin)/include/gcc-plugin.h" ]; then
        (install_packages " gcc-$(g++ -dumpversion | cut -d. -f1)-plugin-dev") || say "continuing without it"
    fi
}

install_packages()
{
    command -v apt-get >/dev/null || fail "no apt-get here; install by hand:$1"
    [ "$(id -u)" -eq 0 ] || fail "packages are missing and installing them needs root: sudo apt-get install $1"
    say "installing:$1"
    # shellcheck disable=SC2086 # a list of words
    sh tools/apt_install.sh $1 || fail "the packages could not be installed"
}

# prepare_languages LANGUAGE...
# Makes the files that let compilers start faster, once, below the images folder.  They are optional.
prepare_languages()
{
    if [ -z "${EVALX_IMAGES:-}" ] && [ ! -d /opt/evalx/chroots ]; then
        EVALX_IMAGES=$PWD/$build/images
        export EVALX_IMAGES
    fi
    install_plugin_headers
    say "preparing languages"
    EVALX_LANGUAGES=${EVALX_LANGUAGES:-$PWD/languages} "$build/evalx" prepare "$@" || say "continuing without it"
}

# build_in FOLDER [MESON OPTIONS]
build_in()
{
    folder=$1
    shift
    if [ ! -f "$folder/build.ninja" ]; then
        say "configuring $folder"
        mkdir -p "$folder"
        quietly "$folder/setup.log" meson setup "$folder" "$@" || fail "meson setup failed"
    fi
    say "building $folder"
    quietly "$folder/ninja.log" ninja -C "$folder" || fail "the build failed"
}
