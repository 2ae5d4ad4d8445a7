#!/bin/bash
# build_ami.sh: installs evalx on a stock Ubuntu 24.04, Debian 12 or Debian 13.  Run it as root, from a clone.
#
# The resulting image has no role.  At boot, evalx.service reads the role (EVALX_ROLE) from /etc/evalx/evalx.env and
# starts it.  One image therefore serves API servers and workers.  The same script installs evalx on a single machine.
#
# Every step is idempotent: it checks the current state and does only what is missing.  A second run changes nothing,
# and an interrupted run resumes.  Long steps leave a stamp in /var/lib/evalx-provision.  The stamp is a checksum of
# all inputs of the step; while it matches, the step is skipped.  The steps are functions in deploy/provision/.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
# shellcheck disable=SC2034 # the sourced files read all of these
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

  --binary FILE        install this evalx (built for the same release) instead of building the clone
  --images "NAME..."   language images to build: "all", "none", or names (default: gcc-14 python-3.13 java-21 node-20
                       typescript-5.4 go-1.24 rust-1.85, 2 GB)
  --images-tar FILE    unpack images built elsewhere (a tar of /opt/evalx/chroots) and build none
  --mirror URL         mirror for the packages of images (default: this machine's mirror, else the distribution's)
  --images-elsewhere   do not build the default images, but expect them at run time, for example on the volume of a
                       container; languages named without a version (python, c, ...) use those images
  --no-prepare         skip `evalx prepare`, which only makes compilers start faster (precompiled headers and the like)
  --isolate            install isolate from its authors' package repository (for EVALX_SANDBOX_BACKEND=isolate)
  --isolate-repository URL, --isolate-key FILE|URL, --isolate-fingerprint HEX
                       another repository of isolate, such as a mirror (default: http://www.ucw.cz/isolate/debian/);
                       its signing key (default: signing-key.asc there, over TLS); the required fingerprint of that key
  --cloudwatch [FROM]  install the CloudWatch agent from a .deb file or URL (default: AWS's public bucket); FROM.sig is
                       its signature, which is required for a URL and optional for a file
  --cloudwatch-key FILE|URL, --cloudwatch-fingerprint HEX
                       the key that signs the agent (default: amazon-cloudwatch-agent.gpg in AWS's bucket or beside the
                       file), and its required fingerprint (default: AWS's)
  --offline DIR        install packages only from the .deb files in DIR; DIR may also contain images.tar and
                       amazon-cloudwatch-agent.deb
  --keep-build-tools   do not remove compilers that were installed for the build
  --any-system         continue on a release that this script was not tested on
  --no-self-test       skip the self-test at the end (a chroot has no sandbox)
  --force              repeat steps that a stamp marks as done
  --dry-run            print what would be done, and change nothing
  --list-packages      print the packages that these options install, to fill the DIR of --offline
TEXT
}

for part in common packages evalx languages host extras finish; do
    # shellcheck source=/dev/null
    . "$here/provision/$part.sh"
done

# value_of OPTION COUNT VALUE: prints the required value of an option.
value_of()
{
    [ "$2" -gt 1 ] || fail "$1 requires a value"
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

check_system
check_options
if [ -n "$list_packages" ]; then
    packages_wanted | tr ' ' '\n' | grep . | sort -u
    exit 0
fi
[ "$(id -u)" -eq 0 ] || [ -n "$dry_run" ] || fail "this script needs root: sudo $0 ..."
take_lock

step "account and folders" make_account
step "packages" install_packages
step "evalx" install_evalx
step "settings" install_settings
step "units" install_units
step "host settings" configure_host
step "isolate" install_isolate
step "language images" install_images
step "CloudWatch agent" install_cloudwatch
step "egress firewall" start_egress_firewall
step "build tools" remove_build_tools
step "manifest" write_manifest
step "self-test" run_self_test
finish
