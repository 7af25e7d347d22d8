#!/bin/sh
# Print the folder of a Debian source package, unpacked with Debian's patches: debian_source.sh PACKAGE
#
# It is fetched once, into build/source, with lists and a cache of its own: the system's configuration of apt is not
# changed, and no deb-src line is needed in it. apt checks signatures by Debian's keyring. Nothing of it is kept in the
# repository. Exit code 1, with a sentence, if there is neither a copy nor a network.
set -u
package=$1
root=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
source=$root/build/source
log=$root/build/log/source-$package.log
mirror=${QUARRY_MIRROR:-http://deb.debian.org/debian}

fail() {
  echo "debian_source: $*; see $log" >&2
  exit 1
}

if [ ! -d "$source/$package" ]; then
  mkdir -p "$root/build/log" "$source"
  work=$(mktemp -d "$source/$package.XXXXXX") || exit 1
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$work/sources.list"
  apt() {
    apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
      -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= \
      -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
  }
  : >"$log"
  apt update >>"$log" 2>&1 || fail "the list of Debian's source packages could not be read"
  (cd "$work/source" && apt source "$package") >>"$log" 2>&1 || fail "the source of $package could not be fetched"
  for folder in "$work/source"/*/; do
    mv "$folder" "$source/$package" 2>/dev/null || [ -d "$source/$package" ] || fail "$package has no folder"
    break
  done
fi
echo "$source/$package"
