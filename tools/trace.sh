# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables of the front door that sources this
# ./quarry trace [OPTION...] -- WORD...: boot with the root task's words, collect the events, write them for other tools.
#
#   build/trace/trace.img        what the machine wrote (include/quarry/trace.h)
#   build/trace/ctf/trace        Common Trace Format, for babeltrace2 or Trace Compass; barectf generates metadata and writer
#   build/trace/trace.json       for chrome://tracing and ui.perfetto.dev
#
# Exit codes: the machine's; 1 if the trace is not what it should be, or has losses.

trace_tool() { /usr/bin/python3 -B "$root/tools/trace/quarry_trace.py" "$@"; }

# trace_disk FILE: an empty disk for events.
trace_disk() {
  rm -f "$1" && truncate -s 512M "$1" && printf 'quarry trace disk\n' | dd of="$1" conv=notrunc status=none
}

# trace_ctf IMAGE FOLDER: its records as CTF, in FOLDER/trace.
trace_ctf() {
  rm -rf "$2" && mkdir -p "$2/made" || return 1
  trace_tool words "$1" "$2/made/words" &&
    cc -I"$root/include" -o "$2/made/config" "$root/tools/trace/config.c" &&
    "$2/made/config" "$(od -A n -t u8 -j 8 -N 8 "$2/made/words" | tr -d ' ')" >"$2/made/config.yaml" &&
    (cd "$2/made" && barectf generate config.yaml) &&
    cc -std=gnu17 -O1 -I"$root/include" -I"$2/made" -o "$2/made/ctf" "$root/tools/trace/ctf.c" "$2/made/barectf.c" &&
    mkdir "$2/trace" && cp "$2/made/metadata" "$2/trace/" && "$2/made/ctf" "$2/made/words" "$2/trace"
}

# Options to the front of the list, words behind -- into trace_words.
trace_words='' trace_chain='' trace_after=''
for trace_argument; do
  shift
  case $trace_after$trace_argument in
  --) trace_after=word: ;;
  word:*) trace_words="$trace_words $trace_argument" ;;
  chain:*) trace_chain=$trace_argument trace_after='' ;;
  --chain) trace_after=chain: ;;
  *) set -- "$@" "$trace_argument" ;;
  esac
done
trace_image=$build/trace/trace.img
if [ -n "$trace_chain" ]; then
  number_between --chain "$trace_chain" 1 9999999
  need trace
  trace_tool chain "$trace_image" "$trace_chain"
  exit
fi
parse_options run "$@"
words=$trace_words
case " $words " in
*' trace_ring='*) ;;
*) words="trace_ring=4096 $words" ;;
esac
words="tracing $words"
need trace
mkdir -p "$build/trace"
trace_disk "$trace_image" || die "build/trace/trace.img cannot be made"
disk=$trace_image
check_run_options
: "${seconds:=300}"
run_prepare
mkdir -p "$logs"
step "running the machine" trace.log machine_qemu
trace_status=$?
if [ "$(kernel_code "$trace_status")" != 0 ]; then
  tail -n 15 "$logs/trace.log"
  run_verdict "$trace_status"
fi
tr -d '\r' <"$logs/trace.log" | sed -n '/^tracing:/p'
trace_tool summary "$trace_image" || exit 1
trace_tool json "$trace_image" "$build/trace/trace.json" || exit 1
must_step "writing CTF" trace-ctf.log trace_ctf "$trace_image" "$build/trace/ctf"
say "build/trace/ctf/trace is for babeltrace2, build/trace/trace.json for ui.perfetto.dev"
trace_tool replay "$trace_image"
