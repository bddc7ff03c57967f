#!/bin/sh
# Compares weftd with a stock flanneld: FLANNELD=/path/to/flanneld Benchmarks/run.sh [options]
# Needs root, etcd, etcdctl, iproute2, iperf3 and Python 3. Options: Benchmarks/benchmark.py --help.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
weftd=${WEFTD:-$here/../build/release/weftd}

[ "$(id -u)" = 0 ] || {
    echo "network namespaces need root: run it with sudo -E" >&2
    exit 1
}
for program in python3 etcd etcdctl ip iperf3 ping sysctl; do
    command -v "$program" >/dev/null || {
        echo "$program is not installed" >&2
        exit 1
    }
done
[ -x "$weftd" ] || {
    echo "$weftd is missing: make release, or set WEFTD" >&2
    exit 1
}
if [ -n "${FLANNELD:-}" ]; then
    set -- --flanneld "$FLANNELD" "$@"
else
    echo "FLANNELD is not set: weftd is measured alone" >&2
fi
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/benchmark.py" --weftd "$weftd" --etcd "$(command -v etcd)" "$@"
