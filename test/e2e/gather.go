package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const gatherWithin = time.Minute

// gather stores what explains a failure: the logs of the node's parts and of the
// pods, the events, and the objects. It stores no Secret.
func (s *harness) gather(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, gatherWithin)
	defer cancel()
	fmt.Printf("the findings are in %s\n", folder)
	if s.node == nil || s.node.Cluster == nil {
		return nil
	}
	if err := os.CopyFS(filepath.Join(folder, "log"), os.DirFS(filepath.Join(s.node.Cluster.Dir(), "log"))); err != nil {
		return err
	}
	if _, err := os.Stat(s.node.PodLogs()); err == nil {
		if err := os.CopyFS(filepath.Join(folder, "pods"), os.DirFS(s.node.PodLogs())); err != nil {
			return err
		}
	}
	for name, args := range map[string][]string{
		"events.txt":   {"get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"},
		"pods.txt":     {"describe", "pods", "--all-namespaces"},
		"nodes.txt":    {"describe", "nodes"},
		"keys.yaml":    {"get", "jwtrefreshkeys,jwtissuers", "--all-namespaces", "--output=yaml"},
		"network.yaml": {"get", "services,endpointslices", "--all-namespaces", "--output=yaml"},
		"work.yaml":    {"get", "deployments,replicasets", "--all-namespaces", "--output=yaml"},
	} {
		out, err := s.node.Cluster.Kubectl(ctx, args...)
		if err != nil {
			out = append(out, err.Error()...)
		}
		if err := os.WriteFile(filepath.Join(folder, name), out, 0o600); err != nil {
			return err
		}
	}
	return nil
}
