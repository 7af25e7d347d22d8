#!/bin/sh
# tools/relocations.sh tells a kernel that cannot be moved from one that can. TAP. relocations.sh ROOT
# Its readelf is a script that says what the case wants of it.
set -u
root=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cat >"$work/readelf" <<'EOF'
#!/bin/sh
case $1 in
-n) echo "    Build ID: 0123abcd" ;;
-r) cat "${0%/*}/relocations" && [ ! -e "${0%/*}/broken" ] ;;
esac
EOF
chmod +x "$work/readelf"

number=0 failed=0
# case NAME WANT RELOCATION...: WANT is ok or refused
case_of() {
  name=$1 want=$2
  shift 2
  number=$((number + 1))
  printf '%s\n' "$@" >"$work/relocations"
  if sh "$root/tools/relocations.sh" "$work/readelf" kernel "$work/out" 2>"$work/said"; then is=ok; else is=refused; fi
  [ "$is" = "$want" ] && echo "ok $number - $name" && return
  echo "not ok $number - $name"
  sed 's/^/# /' "$work/said"
  failed=1
}

word='ffffffff80001000  000000000001 R_X86_64_64  ffffffff80002000 x + 0'
case_of "addresses of the image are places" ok "$word" 'ffffffff80003000  000000000001 R_X86_64_32S  ffffffff80002000 x + 0' \
  'ffffffff80004000  000000000001 R_X86_64_PC32  ffffffff80002000 x + 0'
wanted='0123abcd
00001000 8
00003000 4'
number=$((number + 1))
if [ "$(cat "$work/out")" = "$wanted" ]; then echo "ok $number - the build id, then places in order"; else
  echo "not ok $number - the build id, then places in order" && failed=1
fi
case_of "half an address cannot be moved" refused "$word" 'ffffffff80003000  000000000001 R_X86_64_32  ffffffff80002000 x + 0'
case_of "a kind that is not known" refused "$word" 'ffffffff80003000  000000000001 R_X86_64_GOTPCREL  ffffffff80002000 x + 0'
touch "$work/broken"
case_of "what readelf cannot read" refused "$word"
echo "1..$number"
exit $failed
