# What ./dev, ./test and bench/run share. Sourced, from any working directory.

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
export DOTNET_CLI_WORKLOAD_UPDATE_NOTIFY_DISABLE=true MSBUILDDISABLENODEREUSE=1
# The SDK keeps its own state under a home directory, which a bare container may not name.
[[ -w "${HOME:-}" ]] || export DOTNET_CLI_HOME="$root/artifacts/home"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

require_sdk() {
  local version
  version=$(cd "$root" && dotnet --version 2>/dev/null) ||
    fail "the .NET SDK 10.0.100 or newer is needed: https://dotnet.microsoft.com/download/dotnet/10.0"
  [[ "$version" == 10.* ]] || fail "the .NET SDK 10.0 is needed, found $version: https://dotnet.microsoft.com/download/dotnet/10.0"
}

has() {
  case "$1" in
    initdb) command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' ;;
    libsqlite3) [[ "$(uname)" != Linux ]] || compgen -G '/usr/lib*/libsqlite3.so.0' || compgen -G '/usr/lib/*/libsqlite3.so.0' ;;
    *) command -v "$1" || [[ -x "/usr/sbin/$1" ]] ;;
  esac >/dev/null
}

# need COMMAND:DEBIAN-PACKAGE… installs what is missing when that is possible here, else names it and goes on:
# what really needs it says so itself.
need() {
  local missing=() pair
  for pair in "$@"; do has "${pair%%:*}" || missing+=("${pair##*:}"); done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      echo "could not install ${missing[*]}" >&2
  else
    echo "missing, please install (Debian's names): ${missing[*]}" >&2
  fi
}

# build ARGUMENT… runs a dotnet command quietly; its output is shown when it fails.
build() {
  local log
  mkdir -p "$root/artifacts"
  log=$(mktemp "$root/artifacts/build.XXXXXX")
  if ! (cd "$root" && dotnet "$@" -v quiet --nologo -tl:off) >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    fail "the build failed"
  fi
  rm -f "$log"
}
