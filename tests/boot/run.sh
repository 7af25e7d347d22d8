# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry test: everything is built first, then the front door's own tests, the layers, the hosted tests, the boots.
# Sourced by quarry. One line a test; the closing line is "N passed, N failed, N skipped".

# shellcheck source=tests/boot/result.sh
. "$root/tests/boot/result.sh"

matrix=$root/tests/boot/matrix
parallel=2 # machines at a time: on two cores, four-CPU machines already share

selected() { # NAME
  [ -z "$pattern" ] || printf '%s\n' "$1" | grep -Eq -- "$pattern"
}

# Lines of the matrix that were asked for.
boot_lines() {
  grep -v -e '^#' -e '^$' "$matrix" | while read -r line; do
    case $line in
    *[+\ ]long\ *) [ "$tests_all" = yes ] || [ -n "$pattern" ] || continue ;;
    esac
    selected "$(test_name "$line")" && printf '%s\n' "$line"
  done
}

# Scripts that are tests: name, file.
script_tests='layers tools/check_layers.sh
front-door tests/front/front_door.sh
verdicts tests/front/verdicts.sh
layers-refused tests/front/layers.sh
configurations tests/front/configurations.sh'

# The same for scripts that run machines by the front door.
late_tests='run tests/front/run.sh
seen tests/boot/seen.sh
power-cut tests/boot/cuts.sh
disks tests/boot/disks.sh
profile tests/front/profile.sh
view tests/front/view.sh
trace tests/front/trace.sh
bench tests/front/bench.sh
bench-linux tests/front/bench_linux.sh'

# tsan only with --all, or when a pattern asks for it.
hosted_kinds='plain asan tsan'

script_tests_run() { # LIST
  echo "$1" | while read -r name file; do
    selected "script $name" || continue
    # This one only with --all, or when a pattern asks for it.
    [ "$name" != bench-linux ] || [ "$tests_all" = yes ] || [ -n "$pattern" ] || continue
    begin=$(now)
    words=
    case $name$tests_all in configurationsyes | power-cutyes | disksyes) words=all ;; esac
    # shellcheck disable=SC2086 # none or one
    if sh "$root/$file" $words >"$logs/script-$name.log" 2>&1 </dev/null; then
      result ok "script $name" $(($(now) - begin))
    else
      result FAIL "script $name" $(($(now) - begin)) "$(tail -n 1 "$logs/script-$name.log")" "$logs/script-$name.log"
    fi
  done
}

# Meson's lines, "3/9 quarry:unit / NAME  OK  0.01s  11 subtests passed", become ours; each subtest counts as one.
hosted_results() { # KIND
  # Its summary of failures names them once more.
  sed '/^Summary of Failures/,$d' "$logs/test-hosted-$1.log" | grep -E '^ *[0-9]+/[0-9]+ ' | sed 's/^ *[0-9]*\/[0-9]* *//; s/^[^/]* \/ //' |
    while read -r name status time subtests words; do
      case $subtests in
      */*) passed=${subtests%/*} all=${subtests#*/} ;;
      [0-9]*) passed=$subtests all=$subtests ;;
      *) passed=1 all=1 ;;
      esac
      case $status in
      OK)
        printf 'ok    hosted %s %s (tests: %s, %s)\n' "$1" "$name" "$all" "$(echo "$time" | sed 's/s$/ s/')"
        count ok "$all"
        ;;
      SKIP)
        printf 'skip  hosted %s %s: %s\n' "$1" "$name" "$words"
        count skip 1
        ;;
      *)
        kind=FAIL
        [ "$status" != TIMEOUT ] || kind=HANG
        [ "$passed" -lt "$all" ] || passed=$((all - 1))
        printf '%s  hosted %s %s: %s of %s passed; log: build/log/test-hosted-%s.log\n' \
          "$kind" "$1" "$name" "$passed" "$all" "$1"
        count ok "$passed"
        count "$kind" $((all - passed))
        ;;
      esac
    done
}

hosted_tests_run() { # KIND
  case $1 in
  plain) hosted_dir=$build/hosted ;;
  *) hosted_dir=$build/hosted-$1 ;;
  esac
  # Under the thread sanitizer only what starts threads; the long suite where its length finds most.
  case $1-$tests_all in
  tsan-*) suites='--suite threads' ;;
  plain-yes) suites= ;;
  *) suites='--no-suite long' ;;
  esac
  hosted_log=$logs/test-hosted-$1.log
  # shellcheck disable=SC2086 # a list of words
  step "hosted tests ($1)" "${hosted_log##*/}" env ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 \
    TSAN_OPTIONS=halt_on_error=1 meson test -C "$hosted_dir" $suites --no-rebuild --print-errorlogs --num-processes "$jobs"
  hosted_status=$?
  before=$(counted FAIL HANG)
  hosted_results "$1"
  # A run that ended badly without naming a test must not pass.
  [ "$hosted_status" -eq 0 ] || [ "$(counted FAIL HANG)" -gt "$before" ] ||
    result FAIL "hosted $1" 0 "meson test ended with $hosted_status" "$hosted_log"
}

# The documents that show output of a run, and the one that says which test shows what. After all other tests.
documents_run() {
  document_log=$logs/$(file_name "x86_64 pvh smp4 2G").log
  for document in README.md docs/tour.md; do
    document_check "shows what a run prints: $document" sh "$root/tools/tour.sh" check "$document_log" "$root/$document"
  done
  document_check "each feature has its test: docs/features.md" env SINCE="$lines" \
    sh "$root/tools/check_features.sh" "$logs" "$build"/hosted*/meson-logs/testlog.txt
}

document_check() { # NAME COMMAND...
  document_name=$1
  shift
  begin=$(now)
  if "$@" >"$logs/documents.log" 2>&1; then
    result ok "$document_name" $(($(now) - begin))
  else
    result FAIL "$document_name" $(($(now) - begin)) "$(head -n 1 "$logs/documents.log")"
    cat "$logs/documents.log"
  fi
}

# Packages and builds for the lines in the file $1.
boots_prepare() {
  for purpose_arch in x86_64 riscv64; do
    grep -q "^$purpose_arch " "$1" || continue
    purposes="$purposes emulator-$purpose_arch build-$purpose_arch-clang"
    kernels="$kernels $purpose_arch:clang:default"
    for purpose_profile in minimal debug; do
      ! grep -q "^$purpose_arch .*profile:$purpose_profile" "$1" || kernels="$kernels $purpose_arch:clang:$purpose_profile"
    done
    grep -q "^$purpose_arch .*compiler:gcc" "$1" || continue
    purposes="$purposes build-$purpose_arch-gcc"
    kernels="$kernels $purpose_arch:gcc:default"
  done
  ! grep -Eq ' (bios|uefi|bochs) ' "$1" || purposes="$purposes iso"
  ! grep -q ' uefi ' "$1" || purposes="$purposes ovmf"
  ! grep -q ' bochs ' "$1" || purposes="$purposes bochs"
  ! grep -q ' uboot ' "$1" || purposes="$purposes uboot"
  ! grep -Eq 'tree:|^riscv64 .*numa:8' "$1" || purposes="$purposes device-tree"
}

command_test() {
  if [ "$tests_list" = yes ]; then
    printf '%s\n%s\n' "$script_tests" "$late_tests" | sed 's/ .*//; s/^/script /'
    printf 'hosted plain\nhosted asan\nhosted tsan\n'
    boot_lines | while read -r line; do test_name "$line"; done
    return
  fi
  mkdir -p "$build/test" "$logs"
  # Two runs at once would mix their logs and take each other's time.
  exec 9>"$build/test/lock"
  flock -n 9 || { say "another ./quarry test runs here; waiting for its end" && flock 9; }
  lines=$build/test/lines
  boot_lines >"$lines"
  : >"$results"
  purposes='' kernels=''
  boots_prepare "$lines"
  wanted_hosted=
  for kind in $hosted_kinds; do
    [ "$kind" != tsan ] || [ "$tests_all" = yes ] || [ -n "$pattern" ] || continue
    ! selected "hosted $kind" || wanted_hosted="$wanted_hosted $kind"
  done
  [ -z "$wanted_hosted" ] || purposes="$purposes hosted"
  # All packages at once: one question to apt.
  # shellcheck disable=SC2086 # lists of names
  [ -z "$purposes" ] || need $purposes
  for kind in $wanted_hosted; do build_hosted "$kind"; done
  for kernel in $kernels; do
    kernel_rest=${kernel#*:}
    build_kernel "${kernel%%:*}" "${kernel_rest%:*}" "${kernel_rest#*:}"
  done

  script_tests_run "$script_tests"
  for kind in $wanted_hosted; do hosted_tests_run "$kind"; done
  trap 'say "interrupted"; exit 130' INT
  wanted=$(($(wc -l <"$results") + $(wc -l <"$lines")))
  [ ! -s "$lines" ] || xargs -d '\n' -n 1 -P "$parallel" sh "$root/tests/boot/boot.sh" <"$lines" 9>&-
  trap - INT
  # Each boot leaves one result; a runner that broke down must not pass for one that passed.
  [ "$(wc -l <"$results")" -eq "$wanted" ] ||
    result FAIL "boots" 0 "$((wanted - $(wc -l <"$results"))) boots left no result"
  script_tests_run "$late_tests"
  [ -n "$pattern" ] || documents_run
  passed=$(counted ok) failed=$(counted FAIL HANG) skipped=$(counted skip)
  [ $((passed + failed + skipped)) -gt 0 ] || die "no test's name matches '$pattern'; ./quarry test --list prints them"
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ]
}

# The shell reads a script as it goes: nothing more after this, whoever edits the file meanwhile.
command_test; exit
