#!/usr/bin/env bash
# Builds the container images:
#
#   hack/images/build.sh OUTDIR [PLATFORM[,PLATFORM]]
#
# writes OUTDIR/manager.tar, OUTDIR/tokenserver.tar and OUTDIR/console.tar, OCI archives that hold
# ghcr.io/refreshkeys/manager, .../tokenserver and .../console under the version in VERSION, and an SBOM (SPDX)
# for each platform into OUTDIR/sbom; by default for linux/amd64 and linux/arm64. It prints the
# images with their digests, which are the same for the same sources and version of Go.
#
#   ctr --namespace k8s.io images import OUTDIR/manager.tar     into a node's containerd
#   crane push OUTDIR/manager.tar registry.example.com/manager  into your registry
set -euo pipefail
out=$(realpath --canonicalize-missing "${1:?say where to: hack/images/build.sh OUTDIR [PLATFORM]}")
platforms=${2:-linux/amd64,linux/arm64}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tool=$PWD/bin/tools/images
newer=$(find hack/images -name '*.go' -newer "$tool" -o -name 'go.*' -newer "$tool" 2>/dev/null || true)
if [ ! -x "$tool" ] || [ -n "$newer" ]; then
  echo "images: building ko, once" >&2
  mkdir -p bin/tools
  (cd hack/images && GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$tool.$$" .)
  mv "$tool.$$" "$tool"
fi
exec "$tool" -root . -out "$out" -version "$(<VERSION)" -platforms "$platforms"
