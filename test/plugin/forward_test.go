package plugin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// forward accepts connections on an address and forwards them. It returns the port.
func forward(t *testing.T, address, to string) int32 {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go forwardConnection(from, to)
		}
	}()
	tcp, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP")
	}
	return int32(tcp.Port)
}

func forwardConnection(from net.Conn, to string) {
	defer from.Close()
	there, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer there.Close()
	go func() { _, _ = io.Copy(there, from) }()
	_, _ = io.Copy(from, there)
}

// typOf returns the typ in the header of a compact JWS.
func typOf(compact string) (string, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return "", errors.New("not three parts")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return "", err
	}
	var header struct {
		Type string `json:"typ"`
	}
	err = json.Unmarshal(raw, &header)
	return header.Type, err
}
