package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are below the range that systems use for outgoing connections.
// Otherwise a client that keeps dialling a stopped server's port could get
// that port as its own source port, and the server could not listen on it again.
const (
	firstPort = 20000
	lastPort  = 29999
)

func freePort(taken map[string]int) (int, error) {
	used := make(map[int]bool, len(taken))
	for _, port := range taken {
		used[port] = true
	}
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if used[port] {
			continue
		}
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, errors.New("no free port found on 127.0.0.1 between " + strconv.Itoa(firstPort) + " and " + strconv.Itoa(lastPort))
}

// FreeAddress returns a free address on loopback that a server can be stopped and started on again.
func FreeAddress() (string, error) {
	port, err := freePort(nil)
	return loopback(port), err
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
