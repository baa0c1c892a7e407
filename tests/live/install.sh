#!/usr/bin/env bash
# Brings what the live tests need to a Debian machine: toolchains by apt-get, then every client program built and its
# dependencies resolved, so that the tests themselves download nothing. Quick and silent when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH=$PATH:/usr/sbin # where Debian has servers

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian 12 has 17; later releases have a newer default, which compiles for 17 as well.
java_package() {
  if apt-cache show openjdk-17-jdk-headless >/dev/null 2>&1; then
    echo openjdk-17-jdk-headless
  else
    echo default-jdk-headless
  fi
}

# Debian 12 has a Cargo of 2022 by that name, and the one that its browsers are built with.
cargo_package() {
  if apt-cache show cargo-web >/dev/null 2>&1; then echo cargo-web; else echo cargo; fi
}

install_toolchains() {
  local missing=() packages=() tool
  for tool in javac mvn node npm go redis-server mariadbd cargo curl openssl dig; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [ ${#missing[@]} = 0 ] && return
  echo "installing what brings: ${missing[*]}"
  as_root apt-get update -qq
  for tool in "${missing[@]}"; do
    case $tool in
      javac) packages+=("$(java_package)") ;;
      mvn) packages+=(maven) ;;
      node) packages+=(nodejs) ;;
      npm) packages+=(npm) ;;
      go) packages+=(golang-go) ;;
      redis-server) packages+=(redis-server) ;;
      mariadbd) packages+=(mariadb-server) ;;
      dig) packages+=(bind9-dnsutils) ;;
      cargo) packages+=("$(cargo_package)") ;;
      curl | openssl) packages+=("$tool" ca-certificates) ;;
    esac
  done
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# The newest libraries in Go need a newer one than Debian has; Go is to be had as a module of itself.
renew_go() {
  local needed=1.26.0 module folder scratch
  [ "$(printf '%s\n' "go$needed" "$(go env GOVERSION)" | sort -V | head -n 1)" = "go$needed" ] && return
  echo "installing go $needed"
  module=golang.org/toolchain@v0.0.1-go$needed.$(go env GOOS)-$(go env GOARCH)
  scratch=$(mktemp -d)
  (cd "$scratch" && go mod init scratch 2>/dev/null && go mod download "$module")
  folder=$(go env GOMODCACHE)/$module
  as_root mkdir -p "/usr/local/lib/go-$needed"
  as_root cp -R "$folder/." "/usr/local/lib/go-$needed"
  as_root chmod -R a+rx "/usr/local/lib/go-$needed/bin" "/usr/local/lib/go-$needed/pkg/tool"
  as_root ln -sf "/usr/local/lib/go-$needed/bin/go" /usr/local/bin/go
  rm -rf "$scratch"
}

build_programs() {
  local python=python3 programs suite
  [ -x .venv/bin/python ] && python=.venv/bin/python
  for programs in tests/live/*/programs.py; do
    suite=$(basename "$(dirname "$programs")")
    "$python" -m "tests.live.$suite.programs"
  done
}

install_browser() {
  command -v chromium >/dev/null && return
  echo "installing chromium"
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
}

install_toolchains
renew_go
install_browser
build_programs
