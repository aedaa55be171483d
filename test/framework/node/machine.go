package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// prepareMachine creates the network and the kernel settings that the programs expect.
func (n *Node) prepareMachine() error {
	// The node has an address and a default route to nowhere, for programs that look them up to
	// find the node's address.
	for _, command := range []string{
		"ip link add uplink type veth peer name nowhere",
		"ip address add " + address + "/24 dev uplink",
		"ip link set uplink up",
		"ip link set nowhere up",
		"ip route add default via 10.99.0.254 dev uplink",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	for name, value := range kernelSettings() {
		if err := n.pretend(name, value); err != nil {
			return err
		}
	}
	return nil
}

// kernelSettings are the settings that the kubelet sets and that are not namespaced.
func kernelSettings() map[string]string {
	return map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
}

// pretend mounts the wanted value over a kernel setting: the setting belongs to the machine and must
// not change, and the kubelet only checks the value.
func (n *Node) pretend(name, value string) error {
	shown, err := n.write(filepath.Join("sysctl", name), value+"\n")
	if err != nil {
		return err
	}
	target := filepath.Join("/proc/sys", name)
	if _, err := os.Stat(target); err != nil {
		return err
	}
	if out, err := exec.Command("mount", "--bind", shown, target).CombinedOutput(); err != nil {
		return fmt.Errorf("mount over %s: %w: %s", target, err, out)
	}
	return nil
}
