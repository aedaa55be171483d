# Sourced by the scripts that build pinned binaries from Go modules. It builds one at a time, and prints
# its name, progress and duration. It moves each binary into place only when it is
# complete, so that an interrupted build can be continued.

# Read go.mod instead of running `go list`, so that a finished build takes no time.
module_version() { # module, folder of go.mod
  awk -v module="$1" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module && $2 ~ /^v/ { print $2; exit }' "${2:-.}/go.mod"
}

# A workspace of the caller would hide the modules.
export GOWORK=off

build=""
part=""
abandon() {
  if [ -n "$build" ]; then kill "$build" 2>/dev/null || true; fi
  if [ -n "$part" ]; then rm -f "$part"; fi
}
trap abandon EXIT

show_progress() { # label, started
  local shown=-1 elapsed
  while kill -0 "$build" 2>/dev/null; do
    elapsed=$((SECONDS - $2))
    if [ -t 1 ]; then
      printf '\r%s  %ds' "$1" "$elapsed"
    elif [ $((elapsed / 30)) -ne "$shown" ]; then
      shown=$((elapsed / 30))
      printf '%s  %ds\n' "$1" "$elapsed"
    fi
    sleep 1
  done
  if [ -t 1 ]; then printf '\r'; fi
}

# build_once builds a binary that does not exist yet; it passes the remaining arguments to `go build`.
build_once() { # step such as 2/5, file, version, arguments of go build ...
  local label started out
  out=$2
  if [ -x "$out" ]; then return; fi
  label="[$1] building $(basename "$out") $3"
  started=$SECONDS
  shift 3
  # The process id keeps two builds at once from moving each other's files.
  part="$(dirname "$out")/.$(basename "$out").$$.part"
  go build -trimpath -o "$part" "$@" &
  build=$!
  show_progress "$label" "$started"
  if ! wait "$build"; then
    echo "$label  failed, see above; finished binaries are kept: run it again" >&2
    exit 1
  fi
  mv "$part" "$out"
  build=""
  part=""
  printf '%s  done in %ds (%ds in all)\n' "$label" $((SECONDS - started)) "$SECONDS"
}

# build_tool builds a program for this machine into bin/tools, once for each version, and prints its path. Progress goes to stderr.
build_tool() { # name, version, arguments of go build ...
  local tool
  tool=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/bin/tools/$1-$2
  shift
  mkdir -p "$(dirname "$tool")"
  CGO_ENABLED=0 build_once 1/1 "$tool" "$@" >&2
  echo "$tool"
}

# build_own builds a program of this repository, and again after a change of its sources.
build_own() { # file, folder of its module
  local newer
  newer=$(find "$2" -name '*.go' -newer "$1" -o -name 'go.*' -newer "$1" 2>/dev/null || true)
  if [ -x "$1" ] && [ -z "$newer" ]; then return; fi
  echo "building $(basename "$1") of $2" >&2
  mkdir -p "$(dirname "$1")"
  (cd "$2" && CGO_ENABLED=0 go build -trimpath -o "$1.$$" .)
  mv "$1.$$" "$1"
}
