package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
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
		// It looks for its shim and for runc there.
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
		return fmt.Errorf("it does not answer, see %s: %w", n.Containerd.LogPath(), err)
	}
	return n.LoadProgram(ctx, pauseImage, n.binary("pause"))
}

// linkPlugins gives the CNI plugins the folder of their own that containerd wants.
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

// podNetworkConfig gives each pod a link of its own to the node, over which all of its
// packets are routed: kube-proxy then sees those between pods as well, which on a bridge
// takes a kernel module that not every machine has loaded.
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

// socket is short: a path of a socket has 107 bytes at most.
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

// LoadImage makes the images in an archive known to the node.
func (n *Node) LoadImage(ctx context.Context, archive string) error {
	_, err := n.Ctr(ctx, "images", "import", archive)
	return err
}

// LoadProgram makes an image of one static program and loads it.
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

// KillPrograms ends, as a crash would, what runs in those containers of pods; the kubelet
// starts it again. It does not pass by the API server.
func (n *Node) KillPrograms(ctx context.Context, containers ...string) error {
	for _, id := range containers {
		if _, err := n.Ctr(ctx, "tasks", "kill", "--signal=SIGKILL", id); err != nil {
			return err
		}
	}
	return nil
}
