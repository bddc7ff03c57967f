#!/bin/sh
# Makes what the two virtual machines boot from.
#
#   image.sh base OUT                    OUT/base (a fresh Debian 12), OUT/vmlinuz, OUT/initrd; nothing of Weft yet
#   image.sh disk OUT RELEASE LIBRARIES  OUT/root.ext4
#
# The base has what the tutorial's reader installs: etcd 3.4 and Docker, under systemd. RELEASE, a tree such as
# `make release` makes, lies on the disk as /root/weft, not installed. LIBRARIES is a folder that is laid over the root:
# what a debug build needs of the Swift runtime. Both machines boot the one disk, machine-id and all, like clones.
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
step=$1
out=$2
base=$out/base
mkdir -p "$out"

debian() {
    # The machine's own mirror where it is a Debian of the same release, else Debian's.
    mirror=http://deb.debian.org/debian
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        if grep -qs bookworm "$list"; then mirror=$list; fi
    done
    rm -rf "$base" "$out/kernel"
    mkdir "$out/kernel"
    # The kernel is not installed: its scripts would make an initrd, and take a boot loader for granted.
    # shellcheck disable=SC2016 # for the hook's own shell
    fetch='export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
        package=$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: \(linux-image-.*\)/\1/p")
        cd "$KERNEL" && apt-get -qq download "$package"'
    KERNEL=$out/kernel mmdebstrap --quiet --mode=root --variant=minbase --format=directory --skip=output/dev \
        --customize-hook="$fetch" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
        --include=systemd-sysv,udev,dbus,kmod,procps,iproute2,iputils-ping,iptables,busybox-static \
        --include=etcd-server,etcd-client,docker.io \
        bookworm "$base" "$mirror"
    dpkg-deb --fsys-tarfile "$out/kernel"/*.deb | tar -x -C "$out/kernel"
}

# Modules, but for those of hardware that the machines do not have.
modules() {
    version=$(ls "$out/kernel/lib/modules")
    target=$base/lib/modules/$version
    mkdir -p "$target/kernel"
    cd "$out/kernel/lib/modules/$version"
    cp modules.builtin modules.builtin.modinfo modules.order "$target"
    cd kernel
    cp -R --parents arch block crypto lib net fs/ext4 fs/jbd2 fs/mbcache.ko fs/overlayfs fs/fuse fs/autofs \
        drivers/virtio drivers/block drivers/char/hw_random drivers/net/*virtio* drivers/net/net_failover.ko \
        drivers/net/vxlan drivers/net/veth.ko drivers/net/dummy.ko drivers/net/tun.ko drivers/net/macvlan.ko \
        drivers/net/ipvlan "$target/kernel"
    chroot "$base" depmod "$version"
    mv "$out/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
}

# An initrd that mounts the disk and no more.
initrd() {
    initrd=$out/initrd.d
    rm -rf "$initrd"
    mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/root" "$initrd/modules"
    cp "$base/bin/busybox" "$initrd/bin/busybox"
    {
        echo '#!/bin/busybox sh'
        for module in virtio_pci virtio_blk crc32c_generic ext4; do
            chroot "$base" modprobe -S "$version" --show-depends "$module"
        done | while read -r kind file _; do
            if [ "$kind" != insmod ] || [ -e "$initrd/modules/${file##*/}" ]; then continue; fi
            # Of crc32c there are two, and one of them is for a processor that this is not.
            case $file in *-intel.ko) continue ;; esac
            cp "$base$file" "$initrd/modules/"
            echo "/bin/busybox insmod /modules/${file##*/}"
        done
        echo '/bin/busybox mount -t devtmpfs dev /dev'
        echo 'until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done'
        echo '/bin/busybox mount -t ext4 /dev/vda /root'
        echo '/bin/busybox umount /dev'
        echo 'exec /bin/busybox switch_root /root /sbin/init'
    } >"$initrd/init"
    chmod 755 "$initrd/init"
    cd "$initrd"
    find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$out/initrd"
}

# What is there by itself: addresses by MAC, and the driver's console.
settle() {
    cp -R "$here/root/." "$base/"
    rm -f "$base/etc/hostname"
    echo 7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e >"$base/etc/machine-id"
    chroot "$base" systemctl -q enable systemd-networkd systemd-networkd-wait-online console
    # The tutorial says when these start; the rest would only take the processor's time.
    chroot "$base" systemctl -q disable etcd docker docker.socket containerd
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
        fstrim.timer getty@tty1.service serial-getty@ttyS0.service systemd-update-utmp.service; do
        ln -sf /dev/null "$base/etc/systemd/system/$unit"
    done
}

disk() { # RELEASE LIBRARIES
    root=$out/root
    rm -rf "$root"
    cp -al "$base" "$root"
    mkdir -p "$root/root/weft"
    cp -R "$1/." "$root/root/weft"
    cp -R --remove-destination "$2/." "$root/"
    rm -f "$out/root.ext4"
    truncate -s 4G "$out/root.ext4"
    mkfs.ext4 -q -F -O ^has_journal -d "$root" "$out/root.ext4"
    rm -rf "$root"
}

case $step in
base)
    rm -f "$out/complete"
    debian >"$out/debian.log" 2>&1 || {
        tail -n 20 "$out/debian.log" >&2
        exit 1
    }
    version=$(ls "$out/kernel/lib/modules")
    (modules)
    (initrd)
    settle
    rm -rf "$out/kernel" "$out/initrd.d"
    touch "$out/complete"
    ;;
disk) disk "$3" "$4" ;;
esac
