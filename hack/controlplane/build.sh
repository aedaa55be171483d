#!/usr/bin/env bash
# Builds the control plane pinned in this module (etcd, kube-apiserver, kubectl,
# kube-controller-manager) into <root>/bin/k8s/<version>, once: what is already
# there is not built again. Each binary is moved into place only when complete,
# so an interrupted build is simply continued.
set -euo pipefail

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "control plane: using the binaries in KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"
  exit 0
fi

cd "$(dirname "${BASH_SOURCE[0]}")"

# Read from go.mod, not asked of `go list`, so that a finished build costs nothing.
module_version() {
  awk -v module="$1" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module && $2 ~ /^v/ { print $2; exit }' go.mod
}

kubernetes=$(module_version k8s.io/kubernetes)
etcd=$(module_version go.etcd.io/etcd/server/v3)
out="$(cd ../.. && pwd)/bin/k8s/${kubernetes#v}"

# name, version, package
binaries=(
  "etcd $etcd go.etcd.io/etcd/server/v3"
  "kube-apiserver $kubernetes k8s.io/kubernetes/cmd/kube-apiserver"
  "kubectl $kubernetes k8s.io/kubernetes/cmd/kubectl"
  "kube-controller-manager $kubernetes k8s.io/kubernetes/cmd/kube-controller-manager"
)

stamp=""
minor=${kubernetes#v1.}
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done

# The kind of build must be the same for all of them: a changed CGO_ENABLED
# would compile nearly everything twice. A workspace of the caller's would hide
# this module.
export CGO_ENABLED=0 GOWORK=off

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

mkdir -p "$out"
step=0
for entry in "${binaries[@]}"; do
  read -r name version package <<<"$entry"
  step=$((step + 1))
  if [ -x "$out/$name" ]; then continue; fi
  label="[$step/${#binaries[@]}] building $name $version"
  started=$SECONDS
  # The process id keeps two builds at once from moving each other's files.
  part="$out/.$name.$$.part"
  go build -trimpath -ldflags "-s -w$stamp" -o "$part" "$package" &
  build=$!
  show_progress "$label" "$started"
  if ! wait "$build"; then
    echo "$label  failed, see above; what is built already is kept: run it again" >&2
    exit 1
  fi
  mv "$part" "$out/$name"
  printf '%s  done in %ds (%ds in all)\n' "$label" $((SECONDS - started)) "$SECONDS"
done
