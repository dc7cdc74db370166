# Sourced by the scripts beside it.

# The packages of Debian 12 that the build, the tests and the benchmarks need.
weir_build_packages=(g++ cmake ninja-build ccache pkg-config git python3
  libboost1.81-dev libboost-json1.81-dev libspdlog-dev prometheus-cpp-dev libgtest-dev libgmock-dev
  libbenchmark-dev libssl-dev libabsl-dev libsqlite3-dev libpq-dev libhiredis-dev libcrypt-dev libtomlplusplus-dev libcli11-dev libjs-chart.js)
weir_server_packages=(postgresql redis-server)   # started by tests, each with data of the test's own
weir_browser_packages=(chromium fonts-nanum)     # for pages; Korean ones among them
weir_count_packages=(valgrind)   # scripts/instructions
weir_clang_packages=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev)

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || echo "$package"
  done
}

# need_packages NAME...: installs those Debian packages that are missing, as root or through sudo, without questions.
need_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} == 0 ]] && return 0
  if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
    echo "missing packages, and neither root nor sudo: ${missing[*]}" >&2
    return 1
  fi
  echo "installing: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# need_servers NAME...: the same for servers, none of which is then started as a service of this machine.
need_servers() (
  [[ -z $(missing_packages "$@") ]] && exit 0
  policy=/usr/sbin/policy-rc.d   # what packages ask before they start something
  if [[ ! -e $policy ]]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod +x "$policy"
  fi
  need_packages "$@"
)
