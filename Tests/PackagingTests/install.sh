#!/bin/sh
# Checks install.sh below another root: what it puts there for each kind of docker.service, and that removing leaves
# nothing.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp -R Packaging "$work/release"
cp -R docs "$work/release/docs"
: >"$work/release/weftd"
: >"$work/release/weft"

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

check() { # NAME, ExecStart of Docker's unit or nothing, ExecStart that is wanted in a drop-in or nothing
    root=$work/$1
    mkdir -p "$root/lib/systemd/system"
    [ -z "$2" ] || printf '[Service]\nExecStart=%s\n' "$2" >"$root/lib/systemd/system/docker.service"
    DESTDIR=$root "$work/release/install.sh" --docker >"$work/output" 2>&1 || fail "$1: $(cat "$work/output")"
    options=$root/etc/systemd/system/docker.service.d/weft-options.conf
    found=$(sed -n 's/^ExecStart=\(.\)/\1/p' "$options" 2>/dev/null || true)
    [ "$found" = "$3" ] || fail "$1: the drop-in has '$found', not '$3'"
    for file in usr/local/bin/weftd etc/systemd/system/weftd.service etc/systemd/system/docker.service.d/weft.conf \
        etc/weft/weftd.env; do
        [ -e "$root/$file" ] || fail "$1: $file is not there"
    done
    # An operator's settings are not written over, nor removed.
    echo mine >"$root/etc/weft/weftd.env"
    DESTDIR=$root "$work/release/install.sh" >/dev/null
    DESTDIR=$root "$work/release/install.sh" --remove >/dev/null
    [ "$(cat "$root/etc/weft/weftd.env")" = mine ] || fail "$1: the settings are gone"
    left=$(find "$root" -type f ! -path '*/lib/systemd/system/docker.service' ! -name weftd.env)
    [ -z "$left" ] || fail "$1: left behind: $left"
}

# shellcheck disable=SC2016 # the variable is for systemd
{
    check docker-ce '/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock' \
        '/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS'
    check docker.io '/usr/sbin/dockerd -H fd:// $DOCKER_OPTS' ''
}

# ExecStart of the operator's own, in whichever folder.
for place in etc run lib usr/lib; do
    root=$work/own-$place
    mkdir -p "$root/lib/systemd/system" "$root/$place/systemd/system/docker.service.d"
    printf '[Service]\nExecStart=/usr/bin/dockerd -H fd://\n' >"$root/lib/systemd/system/docker.service"
    own=$root/$place/systemd/system/docker.service.d/override.conf
    printf '[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --debug\n' >"$own"
    # What an earlier install.sh has left.
    mkdir -p "$root/etc/systemd/system/docker.service.d"
    printf '[Service]\nExecStart=\n' >"$root/etc/systemd/system/docker.service.d/weft-options.conf"
    DESTDIR=$root "$work/release/install.sh" --docker >"$work/output" 2>&1 || fail "$place: $(cat "$work/output")"
    [ ! -e "$root/etc/systemd/system/docker.service.d/weft-options.conf" ] || fail "$own is overridden"
    [ -e "$root/etc/systemd/system/docker.service.d/weft.conf" ] || fail "$place: no weft.conf"
    grep -q "$own.*DOCKER_OPTS" "$work/output" || fail "nothing is said of $own"
    DESTDIR=$root "$work/release/install.sh" --remove >/dev/null
    [ -e "$own" ] || fail "$own is removed"
done

check none '' ''
grep -q DOCKER_OPTS "$work/output" || fail "nothing is said where there is no Docker"
echo "install.sh: 3 kinds of Docker unit, drop-ins of others in 4 folders"
