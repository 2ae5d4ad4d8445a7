# host: settings of the machine: journal, kernel, AppArmor, no automatic updates, and the egress firewall.
# shellcheck shell=bash disable=SC2154

configure_host()
{
    put "$here/etc/journald.conf" /etc/systemd/journald.conf.d/evalx.conf 644
    put "$here/etc/sysctl.conf" /etc/sysctl.d/60-evalx.conf 644
    put "$here/etc/apt.conf" /etc/apt/apt.conf.d/99evalx 644
    # The module is not loaded by default.  Without overlayfs, slots share the inodes of an image's files.
    put_text /etc/modules-load.d/evalx.conf 644 <<<overlay
    disable_automatic_updates
    install_apparmor
    if has_systemd; then
        run systemctl restart systemd-modules-load.service
        run sysctl --quiet --load /etc/sysctl.d/60-evalx.conf
        run systemctl try-restart systemd-journald.service
    fi
    if swapon --noheadings --show=NAME 2>/dev/null | grep -q .; then
        note "swap is on and makes run times vary: run sudo swapoff -a and remove swap from /etc/fstab"
    fi
}

# Disables automatic updates, because a machine must stay identical to its image; a new image brings the fixes.
# Disables apport too, which would collect the crashes of programs.
disable_automatic_updates()
{
    local unit
    for unit in unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer apt-daily.service \
        apt-daily-upgrade.service apport.service motd-news.timer; do
        case $(systemctl is-enabled "$unit" 2>/dev/null || true) in
        '' | not-found | masked | masked-runtime) continue ;;
        esac
        # Stop before masking: a timer whose unit disappears fails, and the system state becomes "degraded".
        if has_systemd; then
            run systemctl stop "$unit"
        fi
        run systemctl mask "$unit"
    done
}

# evalx-api.service selects the profile of the API server.  evalx creates its user namespaces as root
# (docs/design/SANDBOX.md, steps 7 and 8 of init), so Ubuntu 24.04's restriction of unprivileged user namespaces does
# not apply.  The other profile allows them explicitly, in case that order ever changes.
install_apparmor()
{
    if [ ! -e /etc/apparmor.d/abi/4.0 ]; then
        note "AppArmor is missing or too old to restrict user namespaces: no profile is installed"
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
        note "starts at boot (systemd is not running here)"
    elif ! systemctl is-active -q evalx-egress-firewall.service; then
        run systemctl start evalx-egress-firewall.service
    elif [ -z "$dry_run" ]; then
        run systemctl reload evalx-egress-firewall.service
    fi
    # Version 0.1 called it evalx-guard.  The old unit is removed only after the new rules are active.
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
