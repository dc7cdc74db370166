# Sourced by the scripts beside it.

# The packages of Debian 12 that the build, the tests and the benchmarks need.
weir_build_packages=(g++ cmake ninja-build ccache pkg-config git python3
  libboost1.81-dev libboost-json1.81-dev libspdlog-dev libgtest-dev libgmock-dev libbenchmark-dev
  libsqlite3-dev libcrypt-dev libtomlplusplus-dev libcli11-dev libjs-chart.js)
weir_count_packages=(valgrind)   # scripts/instructions
weir_clang_packages=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev)

# need_packages NAME...: installs those Debian packages that are missing, as root or through sudo, without questions.
need_packages() {
  local missing=() package sudo=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
  [[ ${#missing[@]} == 0 ]] && return 0
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || { echo "missing packages, and neither root nor sudo: ${missing[*]}" >&2; return 1; }
    sudo=(sudo -n)
  fi
  echo "installing: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
