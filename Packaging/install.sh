#!/bin/sh
# Installs weftd on this host from the folder that `make release` made, or removes it again.
#
#   install.sh            programs, unit, settings, and the files that keep udev, networkd and NetworkManager off
#   install.sh --docker   the same, and Docker's part
#   install.sh --remove   everything that it installed, but for the settings in /etc/weft
#
# Starts and stops nothing. DESTDIR puts it all below another root.
set -eu
cd "$(dirname "$0")"
root=${DESTDIR:-}

put() { # MODE FILE TARGET
    if [ "$action" = remove ]; then
        rm -f "$root$3"
    else
        install -D -m "$1" "$2" "$root$3"
    fi
}

# Docker's own packages start dockerd without $DOCKER_OPTS.
# shellcheck disable=SC2016 # the variable is for systemd
docker_part() {
    drop_ins=/etc/systemd/system/docker.service.d
    put 644 docker-weft.conf "$drop_ins/weft.conf"
    rm -f "$root$drop_ins/weft-options.conf"
    if [ "$action" = remove ]; then
        rmdir "$root$drop_ins" 2>/dev/null || true
        return
    fi
    # An ExecStart of the operator's own is not written over.
    for place in etc run lib usr/lib; do
        for file in "$root/$place/systemd/system/docker.service.d"/*.conf; do
            if grep -qs '^[[:space:]]*ExecStart[[:space:]]*=' "$file"; then
                echo "$file has its own ExecStart: see that dockerd gets \$DOCKER_OPTS" >&2
                return
            fi
        done
    done
    unit=
    for place in etc lib usr/lib; do
        if [ -z "$unit" ] && [ -e "$root/$place/systemd/system/docker.service" ]; then
            unit=$root/$place/systemd/system/docker.service
        fi
    done
    start=$(sed -n 's/^ExecStart=//p' "${unit:-/dev/null}")
    case $start in
    *'$DOCKER_OPTS'*) ;;
    '' | *\\)
        echo "no ExecStart of a docker.service found that could be added to: see that dockerd gets \$DOCKER_OPTS" >&2
        ;;
    *)
        {
            echo "# Written by install.sh: $unit's own, with \$DOCKER_OPTS added."
            printf '[Service]\nExecStart=\nExecStart=%s $DOCKER_OPTS\n' "$start"
        } >"$root$drop_ins/weft-options.conf"
        ;;
    esac
}

action=install
docker=no
case ${1:-} in
'') ;;
--docker) docker=yes ;;
--remove)
    action=remove
    docker=yes
    ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 1
    ;;
esac

put 755 weftd /usr/local/bin/weftd
put 755 weft /usr/local/bin/weft
put 755 mk-docker-opts.sh /usr/local/libexec/weft/mk-docker-opts.sh
put 644 weftd.service /etc/systemd/system/weftd.service
put 644 weft-attach.service /etc/systemd/system/weft-attach.service
put 644 networkd/10-weft.link /etc/systemd/network/10-weft.link
put 644 networkd/10-weft.network /etc/systemd/network/10-weft.network
put 644 networkd/10-weft-routes.conf /etc/systemd/networkd.conf.d/10-weft-routes.conf
put 644 NetworkManager/10-weft.conf /etc/NetworkManager/conf.d/10-weft.conf
for page in getting-started operations compatibility status udp attach migrating; do
    put 644 "docs/$page.md" "/usr/local/share/doc/weft/$page.md"
done
if [ "$docker" = yes ]; then docker_part; fi

if [ "$action" = remove ]; then
    rmdir "$root/usr/local/libexec/weft" "$root/usr/local/share/doc/weft" 2>/dev/null || true
    echo "removed; the settings stay in $root/etc/weft"
else
    # Settings that are there already are somebody's work.
    if [ ! -e "$root/etc/weft/weftd.env" ]; then install -D -m 600 weftd.env "$root/etc/weft/weftd.env"; fi
    echo "installed; look at $root/etc/weft/weftd.env, then: systemctl daemon-reload; systemctl enable --now weftd"
fi
