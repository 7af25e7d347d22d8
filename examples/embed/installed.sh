#!/bin/sh
# Install the library to an empty place, build the example against it through pkg-config, and run it.
#   installed.sh BUILD-FOLDER SOURCE
set -eu

[ $# -eq 2 ] || { echo "usage: $0 BUILD-FOLDER SOURCE" >&2; exit 2; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM
meson install -C "$1" --destdir "$place" --no-rebuild --quiet
pc=$(find "$place" -name quarry.pc)
# The library may have been built with sanitizers: then whoever links it needs them too.
flags=
! nm "$(find "$place" -name libquarry.a)" | grep -q __asan_ || flags=-fsanitize=address,undefined
# shellcheck disable=SC2046,SC2086 # lists of flags
cc -std=gnu17 -Wall -Wextra -Werror "$2" $flags \
  $(PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$place pkg-config --cflags --libs quarry) -o "$place/embed"
"$place/embed"
