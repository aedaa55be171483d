#!/usr/bin/env bash
# Builds the programs that a node needs in addition to Kubernetes, pinned in the modules of this folder:
# containerd with its shim and ctr, runc, the CNI plugins, CoreDNS and the pause program, into
# <root>/bin/node/<versions>, once. `build.sh --dir` prints only that folder. test/e2e checks first that the machine has
# what runc needs: a C compiler, pkg-config and libseccomp.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh

containerd=$(module_version github.com/containerd/containerd/v2 containerd)
runc=$(module_version github.com/opencontainers/runc runc)
cni=$(module_version github.com/containernetworking/plugins cni)
coredns=$(module_version github.com/coredns/coredns coredns)
root="$(cd ../.. && pwd)"
out="$root/bin/node/containerd-${containerd#v}_runc-${runc#v}_cni-${cni#v}_coredns-${coredns#v}"

if [ "${1:-}" = --dir ]; then
  echo "$out"
  exit 0
fi

../controlplane/build.sh node

# module's folder, version, CGO_ENABLED, package
binaries=(
  "containerd $containerd 0 github.com/containerd/containerd/v2/cmd/containerd"
  "containerd $containerd 0 github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
  "containerd $containerd 0 github.com/containerd/containerd/v2/cmd/ctr"
  "runc $runc 1 github.com/opencontainers/runc"
  "cni $cni 0 github.com/containernetworking/plugins/plugins/main/loopback"
  "cni $cni 0 github.com/containernetworking/plugins/plugins/main/ptp"
  "cni $cni 0 github.com/containernetworking/plugins/plugins/ipam/host-local"
  "coredns $coredns 0 github.com/refreshkeys/refreshkeys/hack/node/coredns"
  "pause e2e 0 github.com/refreshkeys/refreshkeys/hack/node/pause"
)

mkdir -p "$out"
step=0
for entry in "${binaries[@]}"; do
  read -r module version cgo package <<<"$entry"
  step=$((step + 1))
  stamp="-s -w"
  case $module in
    containerd) stamp+=" -X github.com/containerd/containerd/v2/version.Version=$version" ;;
    runc) stamp+=" -X main.version=${version#v}" ;;
  esac
  if [ "$module" = pause ]; then version=""; fi
  export CGO_ENABLED=$cgo
  pushd "$module" >/dev/null
  build_once "$step/${#binaries[@]}" "$out/$(basename "$package")" "$version" -tags seccomp -ldflags "$stamp" "$package"
  popd >/dev/null
done
