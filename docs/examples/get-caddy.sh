#!/usr/bin/env bash
# Puts a real Caddy into a folder, without root, and prints where it is:
#   get-caddy.sh FOLDER
# First Debian's package, fetched by apt-get and unpacked in the folder; else a pinned version built by
# go install; else a caddy that is on the machine already.
set -euo pipefail
folder=$1
version=v2.11.9

works() { [ -x "$1" ] && "$1" version >/dev/null 2>&1; }

from_debian() {
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/unpacked"
  # With the machine's lists of packages first, then with lists of its own: neither needs root nor
  # writes anything outside the folder.
  local own=(-qq -o "Dir::Cache=$folder/apt/cache" -o "APT::Sandbox::User=$(id -un)" -o Debug::NoLocking=true)
  local lists=(-o "Dir::State::lists=$folder/apt/lists")
  (
    cd "$folder/apt"
    rm -f caddy_*.deb
    apt-get "${own[@]}" download caddy ||
      { apt-get "${own[@]}" "${lists[@]}" update && apt-get "${own[@]}" "${lists[@]}" download caddy; }
    dpkg -x caddy_*.deb "$folder/unpacked"
  ) >"$folder/apt.log" 2>&1 || return 1
  works "$folder/unpacked/usr/bin/caddy" && cp "$folder/unpacked/usr/bin/caddy" "$folder/caddy" &&
    rm -rf "$folder/apt" "$folder/unpacked"
}

from_source() {
  command -v go >/dev/null || return 1
  echo "building Caddy $version; this takes minutes" >&2
  GOBIN="$folder" go install "github.com/caddyserver/caddy/v2/cmd/caddy@$version" >"$folder/go.log" 2>&1
}

from_machine() {
  local there
  there=$(command -v caddy) && works "$there" && ln -sf "$there" "$folder/caddy"
}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if ! works "$folder/caddy"; then
  from_debian || from_source || from_machine || {
    echo "no Caddy to be had: neither apt-get, nor go install, nor one on this machine; see $folder/*.log" >&2
    exit 1
  }
fi
echo "$folder/caddy"
