# host: how the machine itself is set up: journal, kernel settings, AppArmor, no surprise updates; and the egress firewall.
# shellcheck shell=bash disable=SC2154

tune_host()
{
    put "$here/etc/journald.conf" /etc/systemd/journald.conf.d/evalx.conf 644
    put "$here/etc/sysctl.conf" /etc/sysctl.d/60-evalx.conf 644
    put "$here/etc/apt.conf" /etc/apt/apt.conf.d/99evalx 644
    # Not there until somebody asks for it; without it slots share the inodes of an image's files.
    put_text /etc/modules-load.d/evalx.conf 644 <<<overlay
    stop_surprises
    install_apparmor
    if has_systemd; then
        run systemctl restart systemd-modules-load.service
        run sysctl --quiet --load /etc/sysctl.d/60-evalx.conf
        run systemctl try-restart systemd-journald.service
    fi
    if swapon --noheadings --show=NAME 2>/dev/null | grep -q .; then
        note "swap is on: the host's swapping disturbs run times (sudo swapoff -a, and out of /etc/fstab)"
    fi
}

# An image that changes by itself is not golden: fixes come by baking a new one.  apport would catch programs' crashes.
stop_surprises()
{
    local unit
    for unit in unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer apt-daily.service \
        apt-daily-upgrade.service apport.service motd-news.timer; do
        case $(systemctl is-enabled "$unit" 2>/dev/null || true) in
        '' | not-found | masked | masked-runtime) continue ;;
        esac
        # In this order: a timer whose unit vanishes fails, and the machine then counts as degraded.
        if has_systemd; then
            run systemctl stop "$unit"
        fi
        run systemctl mask "$unit"
    done
}

# The API server's profile is asked for by its unit.  evalx makes its user namespaces with privilege (docs/design/SANDBOX.md,
# init's steps 7 and 8), so Ubuntu 24.04's rule against unprivileged ones does not touch it.  The other profile says so
# to that rule, for the day the order changes.
install_apparmor()
{
    if [ ! -e /etc/apparmor.d/abi/4.0 ]; then
        note "AppArmor: there is none, or an older one without a rule about user namespaces; no profile is installed"
        return
    fi
    put "$here/etc/apparmor" /etc/apparmor.d/evalx 644
    put "$here/etc/apparmor-api" /etc/apparmor.d/evalx-api 644
    if [ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser >/dev/null; then
        run apparmor_parser --replace /etc/apparmor.d/evalx /etc/apparmor.d/evalx-api
    fi
}

start_egress_firewall()
{
    if ! has_systemd; then
        note "starts at boot (no systemd runs here)"
    elif ! systemctl is-active -q evalx-egress-firewall.service; then
        run systemctl start evalx-egress-firewall.service
    elif [ -z "$dry_run" ]; then
        run systemctl reload evalx-egress-firewall.service
    fi
    # Version 0.1 called it evalx-guard.  It goes only now that the new rules are active.
    if [ -f /etc/systemd/system/evalx-guard.service ]; then
        if has_systemd; then
            run systemctl disable --now evalx-guard.service
        fi
        run rm -f /etc/systemd/system/evalx-guard.service /usr/libexec/evalx/guard \
            /etc/systemd/system/multi-user.target.wants/evalx-guard.service
        if has_systemd; then
            run systemctl daemon-reload
        fi
    fi
}
