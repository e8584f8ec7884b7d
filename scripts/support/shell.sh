# What the scripts share: the repository's root, plain failures, and steps that print one line each.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
logs=$root/build/logs # scripts/setup --cuda sets its own

fail() { fail_with 1 "$@"; }

# fail_with CODE MESSAGE: the same with an exit code of its own.
fail_with() {
  printf 'error: %s\n' "${*:2}" >&2
  exit "$1"
}

# usage FILE: the comment at a script's head, after its first line, is its help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$1"; }

# step WHAT LOG COMMAND…: runs a command with its output in $logs/LOG. A step longer than two seconds
# prints one line with its time; a failing one the end of its log.
step() {
  local what=$1 log=$logs/$2 begin=$SECONDS ticker named=yes status=0
  shift 2
  mkdir -p "$logs"
  { sleep 2 && printf '%s … ' "$what" >&3; } 3>&1 </dev/null >/dev/null 2>&1 9>&- &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null 9>&- || status=$? # 9 is the lock of scripts/setup
  ! kill "$ticker" 2>/dev/null || named=
  [[ -n $named ]] || ((status == 0)) || printf '%s … ' "$what"
  wait "$ticker" 2>/dev/null || true
  if ((status != 0)); then
    printf 'failed after %d s\n' $((SECONDS - begin))
    tail -n 30 "$log" >&2
    printf 'The whole log: %s\n' "$log" >&2
    return "$status"
  elif [[ -n $named ]]; then
    printf '%d s\n' $((SECONDS - begin))
  fi
}

# has_pip PYTHON
has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

# python_path: a Python of version 3.10 or newer (what LibTorch 2.13's packages need), or failure.
python_path() {
  local candidate
  for candidate in "$root/.venv/bin/python" python3.11 python3; do
    # one without pip was left when it was being made
    [[ $candidate != "$root/.venv/bin/python" ]] || has_pip "$candidate" || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python of version 3.10 or newer: install one (Debian: apt-get install python3)"
}
