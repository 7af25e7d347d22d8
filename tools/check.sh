# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2317 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry check: what a change has to pass before its tests: layers, shell scripts, formatting, cppcheck, and both
# kernels built without a warning by both compilers. Sourced by quarry. Prints a line a check; exit 1 if one failed.

need check build-x86_64-clang build-x86_64-gcc build-riscv64-gcc hosted
check_failed=0

# check_step NAME LOG COMMAND...
check_step() {
  if step "$@"; then
    printf 'ok    %s\n' "$1"
    return
  fi
  check_failed=1
  printf 'FAIL  %s; log: build/log/%s\n' "$1" "$2"
  tail -n 20 "$logs/$2"
}

shell_scripts() {
  find . -path ./build -prune -o -path ./.git -prune -o -type f \( -name '*.sh' -o -path ./quarry -o -path ./.ci/run \) -print |
    sort
}

c_files() {
  find . -path ./build -prune -o -path ./.git -prune -o -type f -name '*.c' -print | sort
}

shellcheck_all() {
  shell_scripts | xargs shellcheck -x
}

# Headers hold tables and pictures whose columns are set by hand.
format_all() {
  c_files | xargs clang-format-14 --dry-run --Werror
}

cppcheck_all() {
  cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,portability \
    --suppress=missingInclude --suppress=missingIncludeSystem -j "$jobs" \
    -I include -I mem/include -I platform/include -I lib/include mem platform lib
}

check_step layers check-layers.log sh "$root/tools/check_layers.sh"
check_step shellcheck check-shell.log shellcheck_all
check_step clang-format check-format.log format_all
check_step cppcheck check-cppcheck.log cppcheck_all
for check_arch in x86_64 riscv64; do
  for check_compiler in clang gcc; do
    build_kernel "$check_arch" "$check_compiler" default
    printf 'ok    %s kernel by %s\n' "$check_arch" "$check_compiler"
  done
done
build_hosted plain
printf 'ok    hosted library and tests by clang\n'
build_hosted asan
printf 'ok    hosted library and tests by gcc with sanitizers\n'
exit "$check_failed"
