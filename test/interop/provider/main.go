// Command provider is an OpenID Connect provider for people: the example of zitadel/oidc, with its pages, its
// clients and its storage in memory. This program adds TLS, and takes clients and users from its flags.
//
// It writes its issuer URL when it listens. It ends when its standard input is closed, so that it does not outlive
// its parent process.
package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

const slowestHeader = 10 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "provider: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	certificate := flag.String("certificate", "", "file with the certificate, in PEM")
	key := flag.String("key", "", "file with the certificate's key, in PEM")
	users := flag.String("users", "", "file with the users, as the example reads them")
	redirect := flag.String("redirect", "", "redirect URI of all clients; their names are the arguments")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	secret := flag.String("secret", rand.Text(), "secret of all clients")
	groups := flag.String("groups", "", "the claim groups of all users; empty for none")
	afterLogout := flag.String("after-logout", "", "URI that browsers return to after a logout")
	flag.Parse()

	people, err := storage.StoreFromFile(*users)
	if err != nil {
		return err
	}
	for _, name := range flag.Args() {
		storage.RegisterClients(storage.WebClient(name, *secret, *redirect))
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	issuer := "https://" + listener.Addr().String()
	server := &http.Server{
		Handler:           exampleop.SetupServer(issuer, &claims{storage.NewStorage(people), *groups, *afterLogout}, slog.New(slog.DiscardHandler), false),
		ReadHeaderTimeout: slowestHeader,
	}
	fmt.Println(issuer)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ServeTLS(listener, *certificate, *key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
