// Kernel structures, constants and the macros that Swift cannot import. No logic.
#pragma once

// The C library's own definitions first: the kernel's headers then leave theirs out (linux/libc-compat.h).
#include <malloc.h>
#include <netinet/in.h>
#include <net/if.h>
#include <sys/eventfd.h>
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
#include <linux/if_tunnel.h>
#include <linux/lwtunnel.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <linux/wireguard.h>

// Declared by sched.h and unistd.h only under _GNU_SOURCE, which the Swift Glibc module is built without.
int setns(int descriptor, int namespace_type);
