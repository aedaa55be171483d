package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	pauseImage        = "localhost/pause:e2e"
	containerdWithin  = 30 * time.Second
	containerdPolling = 100 * time.Millisecond
)

func (n *Node) startContainerd(ctx context.Context) error {
	if err := n.linkPlugins(); err != nil {
		return err
	}
	if _, err := n.write("cni/net.d/10-pods.conflist", fmt.Sprintf(podNetworkConfig, podNetwork)); err != nil {
		return err
	}
	config, err := n.write("containerd.toml", n.containerdConfig())
	if err != nil {
		return err
	}
	n.Containerd, err = n.Cluster.Run(ctx, cluster.Program{
		Name:   "containerd",
		Binary: n.binary("containerd"),
		Args:   []string{"--config=" + config},
		// containerd looks for its shim and for runc in PATH.
		Env: []string{"PATH=" + n.binaries + ":" + os.Getenv("PATH")},
	})
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, containerdPolling, containerdWithin, true, func(ctx context.Context) (bool, error) {
		_, err := n.Ctr(ctx, "version")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("containerd does not answer, see %s: %w", n.Containerd.LogPath(), err)
	}
	return n.LoadProgram(ctx, pauseImage, n.binary("pause"))
}

// linkPlugins links the CNI plugins into a folder of their own, as containerd requires.
func (n *Node) linkPlugins() error {
	folder := n.path("cni", "bin")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"ptp", "host-local", "loopback"} {
		if err := os.Symlink(n.binary(name), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// podNetworkConfig gives each pod a link of its own to the node, over which all its
// packets are routed: kube-proxy then also sees the packets between pods. With a bridge, this
// needs a kernel module that is not loaded on every machine.
const podNetworkConfig = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni"}
  }]
}
`

func (n *Node) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %q
state = %q
temp = %q
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = %q

[ttrpc]
address = %q

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
enable_unprivileged_ports = false
enable_unprivileged_icmp = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%q]
conf_dir = %q

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %q
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
`,
		n.path("containerd"), "/run/containerd", n.path("containerd-tmp"),
		n.socket(), n.socket()+".ttrpc", pauseImage,
		n.path("cni", "bin"), n.path("cni", "net.d"), n.binary("runc"))
}

// socket is short, since the path of a socket has at most 107 bytes.
func (n *Node) socket() string { return "/run/containerd.sock" }

// Ctr runs containerd's client in the namespace of Kubernetes.
func (n *Node) Ctr(ctx context.Context, args ...string) ([]byte, error) {
	args = append([]string{"--address=" + n.socket(), "--namespace=k8s.io"}, args...)
	out, err := exec.CommandContext(ctx, n.binary("ctr"), args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ctr %v: %w: %s", args[2:], err, out)
	}
	return out, nil
}

// LoadImage imports the images in an archive into the node.
func (n *Node) LoadImage(ctx context.Context, archive string) error {
	_, err := n.Ctr(ctx, "images", "import", archive)
	return err
}

// LoadProgram creates an image of one static program and loads it.
func (n *Node) LoadProgram(ctx context.Context, image, program string) error {
	archive := n.path("images", filepath.Base(program)+".tar")
	if err := os.MkdirAll(filepath.Dir(archive), 0o700); err != nil {
		return err
	}
	if err := writeImage(archive, image, program); err != nil {
		return err
	}
	return n.LoadImage(ctx, archive)
}

// KillPrograms kills, as a crash would, the processes in containers of pods; the kubelet
// restarts them. It does not use the API server.
func (n *Node) KillPrograms(ctx context.Context, containers ...string) error {
	for _, id := range containers {
		if _, err := n.Ctr(ctx, "tasks", "kill", "--signal=SIGKILL", id); err != nil {
			return err
		}
	}
	return nil
}
