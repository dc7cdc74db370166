# Sourced by the scripts that drive the demo server: builds it, starts and stops it and gateways before it, drives it, all with
# one line of progress each. Set before: `me`, the script's name, and `results`, a directory.

readonly bin=build/release/bin
server='' driver='' gateways=()   # process ids while they run
address='' targets=''             # where the server listens; where the gateways do, as weir load takes it
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
  [[ ${#gateways[@]} == 0 ]] || { kill -TERM "${gateways[@]}" 2>/dev/null || true; wait "${gateways[@]}" || true; }
  gateways=()
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# build [TARGET…]: beside the server and the driver.
build() {
  say "building the server and the driver (release)…"
  mkdir -p "$results"
  local log=$results/build.txt
  if ! { cmake --preset release && cmake --build build/release --target ticketing weir_cli "$@"; } >"$log" 2>&1; then
    grep -E -A12 '(error|FAILED|CMake Error)[: ]' "$log" | head -60 >&2
    die "the build failed; all of it: $log"
  fi
}

# start OUT PROGRAM ARGUMENTS…: on a port of its own choice; sets `started_pid` and `started_at`, where it listens.
start() {
  local out=$1 program=$2
  shift 2
  : >"$out"   # the program's own opening of it may come after our first look
  "$bin/$program" --port 0 --drain 1s "$@" >"$out" 2>"${out%.txt}.log" &
  started_pid=$!
  for _ in {1..300}; do
    started_at=$(sed -n 's/^listening on //p' "$out")
    [[ -n $started_at ]] && return
    kill -0 "$started_pid" 2>/dev/null || break
    sleep 0.05
  done
  kill -TERM "$started_pid" 2>/dev/null || true
  cat "${out%.txt}.log" >&2
  die "$program did not start"
}

# start_server NAME ARGUMENTS…: sets `server` and `address`.
start_server() {
  local name=$1
  shift
  start "$results/$name.server.txt" ticketing "$@"
  server=$started_pid address=$started_at targets=http://$started_at
}

# start_gateway NAME ARGUMENTS…: one more before the server; the load goes to the gateways from now on.
start_gateway() {
  local name=$1
  shift
  start "$results/$name.gateway$((${#gateways[@]} + 1)).txt" ticketing_gateway --backend "$address" "$@"
  targets=$([[ ${#gateways[@]} == 0 ]] || echo "$targets,")http://$started_at
  gateways+=("$started_pid")
}

# Ends the server and its gateways, and says so if it did not end well.
stop_server() {
  local code=0
  if [[ ${#gateways[@]} -gt 0 ]]; then
    kill -TERM "${gateways[@]}" 2>/dev/null || true
    wait "${gateways[@]}" || die "$1: a gateway did not end well; what it said: $results/$1.gateway*.log"
    gateways=()
  fi
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || code=$?
  server=''
  [[ $code == 0 ]] || die "$1: the server ended with code $code; what it said: $results/$1.server.log"
}

# drive NAME FILE ARGUMENTS…: one measured run of `weir load` against the server, or the gateways before it; its result: $results/NAME.json.
drive() {
  local name=$1 file=$2 code=0
  shift 2
  "$bin/weir" load "$file" --target "$targets" --json "$results/$name.json" "$@" >"$results/$name.txt" &
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
