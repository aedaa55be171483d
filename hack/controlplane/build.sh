#!/usr/bin/env bash
# Builds the control plane pinned in this module (etcd, kube-apiserver, kubectl,
# kube-controller-manager) into <root>/bin/k8s/<version>, once: it skips what is already
# built. With the argument `node`, it also builds the Kubernetes programs
# of a node: kube-scheduler, kubelet and kube-proxy.
set -euo pipefail

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "control plane: using the binaries in KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"
  exit 0
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh

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
if [ "${1:-}" = node ]; then
  for name in kube-scheduler kubelet kube-proxy; do
    binaries+=("$name $kubernetes k8s.io/kubernetes/cmd/$name")
  done
fi

stamp=""
minor=${kubernetes#v1.}
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done

# CGO_ENABLED must be the same for all of them: a change
# would compile most packages twice.
export CGO_ENABLED=0

mkdir -p "$out"
step=0
for entry in "${binaries[@]}"; do
  read -r name version package <<<"$entry"
  step=$((step + 1))
  build_once "$step/${#binaries[@]}" "$out/$name" "$version" -ldflags "-s -w$stamp" "$package"
done
