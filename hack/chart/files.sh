#!/usr/bin/env bash
# Writes what the chart takes from config/ as it is into charts/refreshkeys/files. Part of
# `make generate`; test/chart fails where the two differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
kubectl=$(ls bin/k8s/*/kubectl 2>/dev/null | tail -1 || true)
kubectl=${kubectl:-$(command -v kubectl)} || {
  echo "hack/chart/files.sh: there is no kubectl: make controlplane builds one" >&2
  exit 1
}
files=charts/refreshkeys/files
for part in crd issuer-use; do
  {
    echo "# Made from config/$part by \`make generate\`: edit that."
    "$kubectl" kustomize "hack/chart/$part"
  } >"$files/$part.yaml.part"
  mv "$files/$part.yaml.part" "$files/$part.yaml"
done
cp config/prometheus/rules.yaml "$files/rules.yaml"
cp config/prometheus/dashboard.json "$files/refreshkeys.json"
