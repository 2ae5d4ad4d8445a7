#!/bin/bash
# build_ami.sh: makes a machine of evalx's out of a stock Ubuntu 24.04 or Debian 12 or 13.  Run as root, from a clone.
#
# What comes out has no role yet: which one it takes, /etc/evalx/evalx.env says at boot (EVALX_ROLE), and evalx.service
# starts it.  So one image serves for API servers and workers; on a machine of its own the same script installs evalx.
#
# Each step looks first at what is there, and does what is missing: a second run changes nothing, and a run that was
# interrupted goes on where it was.  What took long and is still right is known by a stamp in /var/lib/evalx-provision:
# a checksum of all that the step's outcome depends on.  The steps are functions in deploy/provision/.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
# shellcheck disable=SC2034 # all of these are read by the parts
{
    here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
    clone=$(dirname "$here")
    state=/var/lib/evalx-provision
    binary=
    offline=
    images='gcc-14 python-3.13 java-21 node-20 typescript-5.4 go-1.24 rust-1.85'
    images_tar=
    mirror=
    images_elsewhere=
    prepare=yes
    isolate=
    isolate_repository=http://www.ucw.cz/isolate/debian/
    isolate_key=https://www.ucw.cz/isolate/debian/signing-key.asc
    isolate_fingerprint=
    cloudwatch=
    cloudwatch_key=
    cloudwatch_fingerprint=937616F3450B7D806CBD9725D58167303B789C72
    keep_build_tools=
    any_system=
    self_test=yes
    force=
    dry_run=
    list_packages=
    began=$SECONDS
}

usage()
{
    cat <<'TEXT'
usage: sudo deploy/build_ami.sh [OPTIONS]

  --binary FILE        installs this evalx (built for the same release) instead of building the clone
  --images "NAME..."   language images to build: default gcc-14 python-3.13 java-21 node-20 typescript-5.4 go-1.24
                       rust-1.85 (2 GB); "all"; "none"
  --images-tar FILE    images built elsewhere, as a tar of /opt/evalx/chroots; none are built then
  --mirror URL         where images' packages come from (default: this machine's own, else the distribution's)
  --images-elsewhere   the default images are not built here and will be there, as in a container with a volume of them:
                       languages named without a version (python, c, ...) are those of the images
  --no-prepare         leaves out `evalx prepare` (precompiled headers and the like: faster, not different)
  --isolate            installs isolate from its authors' package repository (for EVALX_SANDBOX_BACKEND=isolate)
  --isolate-repository URL, --isolate-key FILE|URL, --isolate-fingerprint HEX
                       another such repository, as a mirror (default: http://www.ucw.cz/isolate/debian/), the key that
                       it is signed with (default: signing-key.asc there, over TLS), and what that key has to be
  --cloudwatch [FROM]  installs the CloudWatch agent, from a .deb file or URL (default: AWS's public bucket); its
                       signature lies beside it, as FROM.sig, and of a file may be missing
  --cloudwatch-key FILE|URL, --cloudwatch-fingerprint HEX
                       the key of that signature (default: amazon-cloudwatch-agent.gpg, of AWS's bucket or beside the
                       file), and what it has to be (default: AWS's)
  --offline DIR        takes packages from the .deb files in DIR, and from nowhere else; images.tar and
                       amazon-cloudwatch-agent.deb are found there too
  --keep-build-tools   leaves compilers on the machine that were installed for the build
  --any-system         goes on where the release is none of those it was tried on
  --no-self-test       leaves out the test at the end (a chroot has no sandbox)
  --force              does again what its stamp says is done
  --dry-run            says what it would do, and changes nothing
  --list-packages      prints the packages it would install with these options, for filling DIR of --offline
TEXT
}

for part in common packages evalx languages host extras finish; do
    # shellcheck source=/dev/null
    . "$here/provision/$part.sh"
done

# value_of OPTION COUNT VALUE: the value that must follow an option.
value_of()
{
    [ "$2" -gt 1 ] || fail "$1 wants a value"
    printf '%s' "$3"
}

# shellcheck disable=SC2034
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(value_of "$1" $# "${2:-}"); shift ;;
    --images) images=$(value_of "$1" $# "${2:-}"); shift ;;
    --images-tar) images_tar=$(value_of "$1" $# "${2:-}"); shift ;;
    --mirror) mirror=$(value_of "$1" $# "${2:-}"); shift ;;
    --offline) offline=$(value_of "$1" $# "${2:-}"); shift ;;
    --cloudwatch)
        cloudwatch=default
        if [ $# -gt 1 ] && [[ $2 != --* ]]; then
            cloudwatch=$2
            shift
        fi
        ;;
    --isolate-repository) isolate_repository=$(value_of "$1" $# "${2:-}"); shift ;;
    --isolate-key) isolate_key=$(value_of "$1" $# "${2:-}"); shift ;;
    --isolate-fingerprint) isolate_fingerprint=$(value_of "$1" $# "${2:-}"); shift ;;
    --cloudwatch-key) cloudwatch_key=$(value_of "$1" $# "${2:-}"); shift ;;
    --cloudwatch-fingerprint) cloudwatch_fingerprint=$(value_of "$1" $# "${2:-}"); shift ;;
    --images-elsewhere) images_elsewhere=yes ;;
    --no-prepare) prepare= ;;
    --isolate) isolate=yes ;;
    --keep-build-tools) keep_build_tools=yes ;;
    --any-system) any_system=yes ;;
    --no-self-test) self_test= ;;
    --force) force=yes ;;
    --dry-run) dry_run=yes ;;
    --list-packages) list_packages=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

look_at_machine
look_at_options
if [ -n "$list_packages" ]; then
    packages_wanted | tr ' ' '\n' | grep . | sort -u
    exit 0
fi
[ "$(id -u)" -eq 0 ] || [ -n "$dry_run" ] || fail "needs root: sudo $0 ..."
only_one_at_a_time

step "account and folders" make_account
step "packages" install_packages
step "evalx" install_evalx
step "settings" install_settings
step "units" install_units
step "the host" tune_host
step "isolate" install_isolate
step "language images" install_images
step "CloudWatch agent" install_cloudwatch
step "egress firewall" start_egress_firewall
step "build tools" remove_build_tools
step "manifest" write_manifest
step "self-test" test_it
finish
