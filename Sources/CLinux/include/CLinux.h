// Kernel structures, constants and the macros that Swift cannot import. No logic.
#pragma once

// The C library's own definitions first: the kernel's headers then leave theirs out (linux/libc-compat.h).
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/fou.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/if_tunnel.h>
#include <linux/lwtunnel.h>
#include <linux/memfd.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <linux/virtio_net.h>
#include <linux/wireguard.h>

// Declared by sched.h, sys/mman.h and unistd.h only under _GNU_SOURCE, which the Swift Glibc module is built without.
int memfd_create(const char *name, unsigned int flags);
int setns(int descriptor, int namespace_type);

// Likewise only under _GNU_SOURCE.
#ifndef __USE_GNU
struct mmsghdr {
    struct msghdr msg_hdr;
    unsigned int msg_len;
};
int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags);
int recvmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout);
#endif

// glibc has it since 2.36.
#include <sys/syscall.h>
long syscall(long number, ...);
static inline int clinux_pidfd_open(int process, unsigned int flags) {
    return (int)syscall(SYS_pidfd_open, process, flags);
}

// Since Linux 6.2; older headers lack them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

// Macros with a type inside, which Swift does not import.
static const unsigned long CLINUX_TUNSETIFF = TUNSETIFF;
static const unsigned long CLINUX_TUNGETIFF = TUNGETIFF;
static const unsigned long CLINUX_TUNSETPERSIST = TUNSETPERSIST;
static const unsigned long CLINUX_TUNSETOFFLOAD = TUNSETOFFLOAD;
static const unsigned long CLINUX_TUNSETVNETHDRSZ = TUNSETVNETHDRSZ;
