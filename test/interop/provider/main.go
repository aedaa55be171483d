// Command provider is an OpenID Connect provider for people: the example of zitadel/oidc, with its pages, its
// clients and its storage in memory. This program adds TLS, and takes clients and users from its flags.
//
// It writes its issuer URL when it listens.
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
	var redirects, afterLogout, public []string
	flag.Func("redirect", "redirect URI of all clients; the arguments are their names; may be repeated", appendTo(&redirects))
	flag.Func("after-logout", "URI that browsers may return to after a logout; may be repeated", appendTo(&afterLogout))
	flag.Func("public", "name of a client without a secret, which uses PKCE; may be repeated", appendTo(&public))
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	secret := flag.String("secret", rand.Text(), "secret of the clients of the arguments")
	groups := flag.String("groups", "", "the claim groups of all users; empty for none")
	lifetime := flag.Duration("lifetime", time.Hour, "lifetime of id_tokens")
	denied := flag.String("deny", "", "id of a user that may use no client; empty for none")
	untilEOF := flag.Bool("until-eof", false, "end when the standard input is closed, so that this process does not outlive its parent")
	flag.Parse()

	people, err := storage.StoreFromFile(*users)
	if err != nil {
		return err
	}
	for _, name := range flag.Args() {
		storage.RegisterClients(storage.WebClient(name, *secret, redirects...))
	}
	for _, name := range public {
		storage.RegisterClients(storage.NativeClient(name, redirects...))
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	issuer := "https://" + listener.Addr().String()
	server := &http.Server{
		Handler:           exampleop.SetupServer(issuer, &rules{storage.NewStorage(people), *groups, *denied, *lifetime, afterLogout}, slog.New(slog.DiscardHandler), false),
		ReadHeaderTimeout: slowestHeader,
	}
	fmt.Println(issuer)
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			_ = server.Close()
		}()
	}
	if err := server.ServeTLS(listener, *certificate, *key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// appendTo returns the setter of a flag that adds a value to a list.
func appendTo(list *[]string) func(string) error {
	return func(value string) error {
		*list = append(*list, value)
		return nil
	}
}
