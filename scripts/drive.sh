# Sourced by the scripts that drive the demo server: builds it, starts and stops it, drives it, all with one line of progress
# each. Set before: `me`, the script's name, and `results`, a directory.

readonly bin=build/release/bin
server='' driver='' address=''   # process ids while they run, and where the server listens
started=$SECONDS

say() { printf '[%3d s] %s\n' $((SECONDS - started)) "$*"; }
die() { echo "$me: $*" >&2; exit 1; }

# Ends what this script started and is still running, and nothing else.
stop() {
  local name
  for name in driver server; do
    [[ -n ${!name} ]] || continue
    kill -TERM "${!name}" 2>/dev/null || true
    # The driver lets journeys end at the first signal, and ends at the second.
    if [[ $name == driver ]]; then sleep 0.2; kill -TERM "${!name}" 2>/dev/null || true; fi
    wait "${!name}" || true
    printf -v "$name" ''
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
  say "building the server and the driver (release)…"
  mkdir -p "$results"
  local log=$results/build.txt
  if ! { cmake --preset release && cmake --build build/release --target ticketing weir_cli; } >"$log" 2>&1; then
    grep -E -A12 '(error|FAILED|CMake Error)[: ]' "$log" | head -60 >&2
    die "the build failed; all of it: $log"
  fi
}

# Starts the server with these arguments on a port of its own choice; sets `server` and `address`.
start_server() {
  local out=$results/$1.server.txt
  shift
  : >"$out"   # the server's own opening of it may come after our first look
  "$bin/ticketing" --port 0 --drain 1s "$@" >"$out" 2>"${out%.txt}.log" &
  server=$!
  for _ in {1..300}; do
    address=$(sed -n 's/^listening on //p' "$out")
    [[ -n $address ]] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "${out%.txt}.log" >&2
  die "the server did not start"
}

# Ends the server, and says so if it did not end well.
stop_server() {
  local code=0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || code=$?
  server=''
  [[ $code == 0 ]] || die "$1: the server ended with code $code; what it said: $results/$1.server.log"
}

# drive NAME SCENARIO ARGUMENTS…: one measured run of `weir load` against the server; its result: $results/NAME.json.
drive() {
  local name=$1 scenario=$2 code=0
  shift 2
  "$bin/weir" load "$scenario" --target "http://$address" --json "$results/$name.json" "$@" >"$results/$name.txt" &
  driver=$!
  wait "$driver" || code=$?
  driver=''
  # 99: a threshold was crossed, 98: the driver could not keep up; the verdict at the end judges both.
  case $code in
    0 | 98 | 99) ;;
    *) tail -20 "$results/$name.txt" >&2; die "$name: weir load failed with code $code" ;;
  esac
}

# Says whether the load of a run was valid. 1: it was not.
is_valid() {
  if jq -e .weir.generator.valid "$results/$1.json" >/dev/null; then
    echo "  ✓ $1: the load was valid"
  else
    jq -r --arg name "$1" '.weir.generator.reasons | "  ✗ \($name): the load was INVALID: " + join(" ")' "$results/$1.json"
    return 1
  fi
}
