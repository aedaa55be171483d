#!/usr/bin/env bash
# Provides the control plane (etcd, kube-apiserver, kubectl, kube-controller-manager), once: the binaries in KUBEBUILDER_ASSETS, or
# else those that can be downloaded as setup-envtest does, or else builds of the modules that go.mod pins. It says which, and why.
# What it chooses is recorded in <root>/bin/k8s/chosen, so that a second run takes no time; remove that file to choose again.
#
#   build.sh            all of it
#   build.sh node       and the Kubernetes programs of a node: kube-scheduler, kubelet and kube-proxy
#   build.sh choose     only the choice, with a download, and without a build
#   build.sh oldest     the oldest supported version, which the folder oldest pins, built into <root>/bin/k8s-oldest
#
# ENVTEST_INDEX_URL is another index of archives. ENVTEST_INSTALLED_ONLY forbids the download.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh
bin="$(cd ../.. && pwd)/bin"
mode=${1:-all}
if [ "$mode" = oldest ]; then cd oldest; fi

kubernetes=$(module_version k8s.io/kubernetes)
pinned=${kubernetes#v}
etcd=$(module_version go.etcd.io/etcd/server/v3)
out=$bin/k8s/$pinned
if [ "$mode" = oldest ]; then out=$bin/k8s-oldest/$pinned; fi
record=$bin/k8s/chosen

stamp=""
minor=${pinned#1.}
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done

say() { echo "control plane: $*"; }

# build builds those of the programs that do not exist yet into $out.
build() { # program...
  local name step=0 version package
  # CGO_ENABLED must be the same for all of them: a change would compile most packages twice.
  export CGO_ENABLED=0
  mkdir -p "$out"
  for name in "$@"; do
    step=$((step + 1))
    version=$kubernetes package=k8s.io/kubernetes/cmd/$name
    if [ "$name" = etcd ]; then version=$etcd package=go.etcd.io/etcd/server/v3; fi
    build_once "$step/$#" "$out/$name" "$version" -ldflags "-s -w$stamp" "$package"
  done
}

# has says whether a folder holds the programs that the archives of setup-envtest hold.
has() { # folder
  [ -x "$1/etcd" ] && [ -x "$1/kube-apiserver" ] && [ -x "$1/kubectl" ]
}

# choose sets what is used (a folder of bin/k8s), how (built or downloaded) and why, from the record or by a new choice.
choose() {
  local pin=""
  if [ -e "$record" ]; then read -r used pin how why <"$record"; fi
  if [ "$pin" = "$pinned" ] && { [ "$how" = built ] || has "$bin/k8s/$used"; }; then return; fi
  used=$pinned how=built
  mkdir -p "$bin/k8s" "$bin/tools"
  if has "$out"; then
    why="an earlier run has built it"
  elif [ -n "${ENVTEST_INSTALLED_ONLY:-}" ]; then
    why="ENVTEST_INSTALLED_ONLY forbids a download"
  elif ! (cd envtest && CGO_ENABLED=0 go build -trimpath -o "$bin/tools/envtest" .); then
    why="the program that downloads cannot be built; see above"
  elif why=$("$bin/tools/envtest" -version "$kubernetes" -into "$bin/k8s"); then
    used=$why how=downloaded why="it is in ${ENVTEST_INDEX_URL:-the index of controller-tools}, and its checksum is right"
  fi
  echo "$used $pinned $how $why" >"$record"
}

# add_controller_manager builds kube-controller-manager alone, which no archive of setup-envtest holds.
add_controller_manager() { # folder of the other programs
  local theirs
  if [ -x "$1/kube-controller-manager" ] || [ -x "$out/kube-controller-manager" ]; then return; fi
  theirs=$("$1/kube-apiserver" --version 2>/dev/null || true)
  if [[ "$theirs" != "Kubernetes v1.${minor%%.*}."* ]]; then
    say "warning: $1 has no kube-controller-manager, and that of $kubernetes does not fit its API server (${theirs:-of an unknown version})"
    return
  fi
  say "building kube-controller-manager $kubernetes alone, because $1 has none"
  build kube-controller-manager
}

if [ "$mode" = oldest ]; then
  build etcd kube-apiserver kubectl kube-controller-manager
  exit
fi
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  say "using $KUBEBUILDER_ASSETS, because KUBEBUILDER_ASSETS names it"
  if [ "$mode" != choose ]; then add_controller_manager "$KUBEBUILDER_ASSETS"; fi
else
  choose
  if [ "$how" = downloaded ]; then
    say "Kubernetes $used is downloaded, because $why"
    if [ "$mode" != choose ]; then add_controller_manager "$bin/k8s/$used"; fi
  else
    say "Kubernetes $used is built from its modules, because $why"
    if [ "$mode" != choose ]; then build etcd kube-apiserver kubectl kube-controller-manager; fi
  fi
fi
if [ "$mode" = node ]; then build kube-scheduler kubelet kube-proxy; fi
