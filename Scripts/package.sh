#!/bin/sh
# Gathers build/release from what `swift build -c release` made: programs, units, scripts and the pages to go with them.
# Prints sizes and checksums, and fails when full Foundation is in weftd, which would cost each host 6 to 9 MiB.
set -eu
cd "$(dirname "$0")/.."
binaries=.build/release
out=build/release

for program in weftd weft; do
    [ -x "$binaries/$program" ] || {
        echo "$binaries/$program is missing; run make release" >&2
        exit 1
    }
done

# Names of full Foundation's begin with $s10Foundation; those of FoundationEssentials, which is wanted, with $s20. Before
# stripping, since that takes the names away.
names=$(mktemp)
trap 'rm -f "$names"' EXIT
nm "$binaries/weftd" >"$names"
[ -s "$names" ] || {
    echo "$binaries/weftd has no symbols, so that what is linked into it cannot be told" >&2
    exit 1
}
# shellcheck disable=SC2016 # $s is how Swift's names begin
foundation=$(grep -c '\$s10Foundation' "$names" || true)
if readelf -d "$binaries/weftd" | grep -q 'NEEDED.*lib\(Foundation\.\|swift\)'; then
    echo "$binaries/weftd needs the Swift runtime's libraries; build it with --static-swift-stdlib" >&2
    exit 1
fi

rm -rf "$out"
mkdir -p "$out/docs"
cp "$binaries/weftd" "$binaries/weft" "$out/"
if command -v strip >/dev/null 2>&1; then strip "$out/weftd" "$out/weft"; fi
cp -R Packaging/. "$out/"
cp README.md LICENSE CHANGELOG.md "$out/"
cp docs/getting-started.md docs/operations.md docs/compatibility.md docs/status.md docs/udp.md docs/attach.md \
    docs/migrating.md "$out/docs/"

echo "$out:"
(
    cd "$out"
    find . -type f | LC_ALL=C sort | sed 's|^\./||' | while read -r file; do
        printf '  %9d KiB  %s  %s\n' $((($(wc -c <"$file") + 1023) / 1024)) "$(sha256sum "$file" | cut -c1-64)" "$file"
    done
)
if [ "$foundation" -gt 0 ]; then
    echo "full Foundation in weftd: $foundation symbols; find the import that brings it" >&2
    exit 1
fi
echo "full Foundation in weftd: none (FoundationEssentials alone)"
