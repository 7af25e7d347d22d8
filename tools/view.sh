# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry view: pictures of a machine's memory (docs/view.md). Sourced by quarry with the command's words.
#
#   view [OPTION OF RUN...]     a machine runs programs and writes snapshots; they become build/view.html
#   view FILE...                the same of consoles kept before, or of what --json wrote
#   view --compare A B          what grew from A to B; each FILE or FILE#N, the N-th snapshot
#   view --live                 a page that follows the machine while it runs, until Ctrl-C

view_mode=page view_output=$build/view.html view_port=0 view_files=
newline='
'

# Words of ours are taken out; those of the machine stay for parse_options.
view_left=$#
while [ "$view_left" -gt 0 ]; do
  view_word=$1
  shift
  view_left=$((view_left - 1))
  case $view_word in
  --compare | --json | --live)
    [ "$view_mode" = page ] || usage_error "view takes one of --compare, --json, --live"
    view_mode=${view_word#--}
    ;;
  --output | --port)
    [ "$view_left" -gt 0 ] || usage_error "$view_word needs a value"
    case $view_word in
    --output) view_output=$1 ;;
    --port) number_between --port "$1" 0 65535 && view_port=$1 ;;
    esac
    shift
    view_left=$((view_left - 1))
    ;;
  --help | -h | --bios | --uefi | --*=*) set -- "$@" "$view_word" ;;
  --*)
    set -- "$@" "$view_word"
    [ "$view_left" -gt 0 ] || continue
    set -- "$@" "$1"
    shift
    view_left=$((view_left - 1))
    ;;
  *)
    case $view_word in
    /*) ;;
    *) view_word=$caller/$view_word ;;
    esac
    view_files=$view_files${view_files:+$newline}$view_word
    ;;
  esac
done
view_machine=$#
parse_options view "$@"
case $view_output in
/*) ;;
*) view_output=$caller/$view_output ;;
esac

# view_tool WORD...: the program, with the files behind the words.
view_tool() {
  view_shell=$IFS
  set -f
  IFS=$newline
  # shellcheck disable=SC2086 # a list of files, a line each
  set -- "$@" $view_files
  IFS=$view_shell
  set +f
  PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/view/view.py" "$@"
}

# Boot the machine with the words for snapshots; its console is build/log/view.log.
view_boot() { # WORDS
  words="$1 heap=track${words:+ $words}"
  check_run_options
  : "${seconds:=$2}"
  run_prepare
  mkdir -p "$logs"
  : >"$logs/view.log"
}

view_run() {
  view_boot view 300
  step "the machine runs" view.log machine_qemu
  view_status=$?
  [ "$(kernel_code "$view_status")" = 0 ] || {
    tail -n 5 "$logs/view.log" | tr -d '\036' >&2
    run_verdict "$view_status"
  }
  view_files=$logs/view.log
}

# The server ends with the machine, and both with Ctrl-C; what was seen stays as a page.
view_live() {
  view_boot view=0 0
  PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/view/view.py" live "$logs/view.log" "$view_port" &
  view_server=$!
  trap 'kill "$view_server" 2>/dev/null' EXIT
  trap : INT
  machine_qemu </dev/null >"$logs/view.log" 2>&1
  trap - INT
  view_files=$logs/view.log
}

need view
case $view_mode in
compare)
  case $view_files in
  *"$newline"*"$newline"*) usage_error "view --compare takes two snapshots" ;;
  *"$newline"*) ;;
  *) usage_error "view --compare takes two snapshots: FILE or FILE#N" ;;
  esac
  [ "$view_machine" -eq 0 ] || usage_error "view --compare takes no options of a machine"
  view_tool compare
  exit
  ;;
live)
  [ -z "$view_files" ] || usage_error "view --live takes no files: it runs a machine"
  view_live
  ;;
*)
  { [ -z "$view_files" ] || [ "$view_machine" -eq 0 ]; } || usage_error "view takes files, or options of a machine"
  [ -n "$view_files" ] || view_run
  ;;
esac
if [ "$view_mode" = json ]; then
  view_tool json
  exit
fi
view_tool page "$view_output" || exit
say "the page is ${view_output#"$root/"}; it needs nothing else, open it in a browser"
