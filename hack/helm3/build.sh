#!/usr/bin/env bash
# Builds the helm 3 pinned in this module into bin/tools, once, and prints its path. It shares most packages with the build of hack/helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$(awk '$1 == "helm.sh/helm/v3" { print $2; exit }' go.mod)
# The Kubernetes that `helm template` and `helm lint` assume, as the releases of Helm set it.
minor=$(awk '$1 == "k8s.io/client-go" { split($2, part, "."); print part[2]; exit }' go.mod)
helm="$(cd ../.. && pwd)/bin/tools/helm-$version"
assumed() { # package
  echo "-X helm.sh/helm/v3/$1.k8sVersionMajor=1 -X helm.sh/helm/v3/$1.k8sVersionMinor=$minor"
}
if [ ! -x "$helm" ]; then
  echo "building helm $version, once" >&2
  mkdir -p "$(dirname "$helm")"
  GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$helm.$$" \
    -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$version $(assumed pkg/lint/rules) $(assumed pkg/chartutil)" helm.sh/helm/v3/cmd/helm
  mv "$helm.$$" "$helm"
fi
echo "$helm"
