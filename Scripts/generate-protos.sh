#!/bin/sh
# Writes Sources/EtcdAPI from Protos/ again. Needs protoc (Debian: protobuf-compiler) and, in PATH or $PLUGINS, the two
# plugins in the versions of Package.resolved, which are built in their packages' checkouts with
#   swift build -c release --product protoc-gen-swift        (.build/checkouts/swift-protobuf)
#   swift build -c release --product protoc-gen-grpc-swift-2 (.build/checkouts/grpc-swift-protobuf)
set -eu
cd "$(dirname "$0")/.."
PATH="${PLUGINS:-/usr/local/bin}:$PATH"
out=Sources/EtcdAPI
rm -f "$out"/*.pb.swift "$out"/*.grpc.swift
protoc -I Protos --swift_out="$out" --swift_opt=Visibility=Public --swift_opt=UseAccessLevelOnImports=true Protos/*.proto
# A file without a service would become an empty one.
# shellcheck disable=SC2046
protoc -I Protos --grpc-swift-2_out="$out" --grpc-swift-2_opt=Visibility=Public \
    --grpc-swift-2_opt=UseAccessLevelOnImports=true $(grep -l '^service' Protos/*.proto)
