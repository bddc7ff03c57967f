#!/bin/sh
# Turns flannel's subnet file into options for dockerd. Options and output are those of flannel's script of this name.
# shellcheck disable=SC2034,SC2154 # options are read, and values set, by eval

usage() {
    cat >&2 <<END
usage: $0 [-f FILE] [-d FILE] [-i] [-c] [-k KEY] [-m]

  -f FILE  the subnet file (/run/flannel/subnet.env)
  -d FILE  where to write (/run/docker_opts.env)
  -i       a variable for each option: DOCKER_OPT_BIP, DOCKER_OPT_IPMASQ, DOCKER_OPT_MTU
  -c       one variable with all options
  -k KEY   that variable's name (DOCKER_OPTS)
  -m       leave --ip-masq out

Without -i and -c, both are written. Options that are in KEY already stay, in front.
END
    exit 1
}

fail() {
    echo "$1" >&2
    exit 1
}

subnet_file=/run/flannel/subnet.env
output=/run/docker_opts.env
key=DOCKER_OPTS
separate=no
combined=no
with_masquerading=yes

while getopts f:d:k:icmh option; do
    case $option in
    f) subnet_file=$OPTARG ;;
    d) output=$OPTARG ;;
    k) key=$OPTARG ;;
    i) separate=yes ;;
    c) combined=yes ;;
    m) with_masquerading=no ;;
    *) usage ;;
    esac
done
case $key in
'' | [0-9]* | *[!A-Za-z0-9_]*) fail "-k $key: a variable's name has letters, digits and underscores" ;;
esac
if [ "$separate$combined" = nono ]; then
    separate=yes
    combined=yes
fi

if [ -f "$subnet_file" ]; then
    # A name without a slash would be looked for in PATH.
    case $subnet_file in
    */*) ;;
    *) subnet_file=./$subnet_file ;;
    esac
    # shellcheck disable=SC1090 # which file is known only now
    . "$subnet_file"
fi

[ -z "$FLANNEL_SUBNET" ] || DOCKER_OPT_BIP=--bip=$FLANNEL_SUBNET
[ -z "$FLANNEL_MTU" ] || DOCKER_OPT_MTU=--mtu=$FLANNEL_MTU
if [ "$with_masquerading" = yes ]; then
    # Who masquerades is either the network daemon or Docker.
    case $FLANNEL_IPMASQ in
    '') ;;
    true) DOCKER_OPT_IPMASQ=--ip-masq=false ;;
    false) DOCKER_OPT_IPMASQ=--ip-masq=true ;;
    *) fail "Invalid value of FLANNEL_IPMASQ: $FLANNEL_IPMASQ" ;;
    esac
fi

# DOCKER_OPT_ variables that the environment brings are options too.
names=$(set | sed -n 's/^\(DOCKER_OPT_[A-Za-z0-9_]*\)=.*/\1/p' | LC_ALL=C sort -u)
eval "options=\$$key"
[ -z "$options" ] || options="$options "
lines=
for name in $names; do
    eval "value=\$$name"
    options="$options $value"
    [ "$separate" = no ] || lines="$lines$name=\"$value\"
"
done
[ "$combined" = no ] || lines="$lines$key=\"$options\"
"
printf %s "$lines" >"$output" || exit 1

# A bridge whose subnet is routed elsewhere gets no traffic: say it before Docker starts.
if [ -n "$FLANNEL_SUBNET" ] && command -v ip >/dev/null 2>&1; then
    host=${FLANNEL_SUBNET%/*}
    prefix=${host%.*}.$((${host##*.} - 1))/${FLANNEL_SUBNET#*/}
    route=$(ip -4 route show exact "$prefix" 2>/dev/null | grep ' via ')
    [ -z "$route" ] || fail "Your routing table already contains the subnet: $route"
fi
exit 0
