#!/bin/sh
# Builds the container image without a registry and without a base image.
#
#   deploy/build-image.sh [--binary PATH] [TAG]
#
# Without --binary, the release binary is built first. TAG is quorate:latest by default. The binary is linked against
# this machine's C library, which goes into the image with it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tag=quorate:latest
binary=
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=${2:?"--binary needs a path"}; shift 2 ;;
        -*) echo "usage: deploy/build-image.sh [--binary PATH] [TAG]" >&2; exit 2 ;;
        *) tag=$1; shift ;;
    esac
done

if [ -z "$binary" ]; then
    cd "$here/.."
    cargo build --release --locked --package quorate
    binary=${CARGO_TARGET_DIR:-target}/release/quorate
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
rootfs=$context/rootfs
mkdir -p "$rootfs/usr/local/bin" "$rootfs/etc" "$context/data"
chmod 755 "$context" "$rootfs"
chmod 700 "$context/data"

cp "$binary" "$rootfs/usr/local/bin/quorate"
chmod 755 "$rootfs/usr/local/bin/quorate"
# Line tables stay out of the image; function names stay in.
if command -v strip >/dev/null; then
    strip --strip-debug "$rootfs/usr/local/bin/quorate"
fi

# `libc.so.6 => /lib/… (0x…)` and, for the loader itself, `/lib64/ld-linux-x86-64.so.2 (0x…)`.
libraries=$(ldd "$binary")
if echo "$libraries" | grep -q 'not found'; then
    echo "$libraries" >&2
    exit 1
fi
echo "$libraries" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' |
    while read -r library; do
        mkdir -p "$rootfs$(dirname "$library")"
        cp -L "$library" "$rootfs$library"
    done

echo 'quorate:x:10001:10001:quorate:/data:/nologin' > "$rootfs/etc/passwd"
echo 'quorate:x:10001:' > "$rootfs/etc/group"
# Names of peers: what the container runtime put into /etc/hosts, then DNS.
echo 'hosts: files dns' > "$rootfs/etc/nsswitch.conf"

docker build --quiet --tag "$tag" --file "$here/Dockerfile" "$context" >/dev/null
docker image inspect --format "$tag: {{.Size}} bytes, {{.Id}}" "$tag"
