package commands

import (
	"context"
	"crypto/rand"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

const maxPort = 65535

func (c *app) consoleCommand() *cobra.Command {
	port, noBrowser, caFile := 0, false, ""
	cmd := &cobra.Command{
		Use: "console", Short: "Show refresh keys in the browser, with your own rights",
		Long: `Serve the web page of refresh keys on 127.0.0.1, and open it in the browser. The page acts with the credential of the
kubeconfig's current context, or of the one that the flags select. The URL has a code that works once, within five minutes.
Ctrl-C ends the console and all of its sessions.`,
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port < 0 || port > maxPort {
				return cli.UsageError("--port must be from 0 to %d", maxPort)
			}
			return c.console(cmd.Context(), port, !noBrowser, caFile)
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "the port on 127.0.0.1; 0 for a free one")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "only print the URL")
	cmd.Flags().StringVar(&caFile, "ca-file", "", "a PEM file with the CA certificate of the issuers' URLs, which serve the keys that verify access tokens")
	return cmd
}

func (c *app) console(ctx context.Context, port int, browse bool, caFile string) error {
	publicKeys, err := c.httpClient(caFile, nil)
	if err != nil {
		return err
	}
	k, err := c.connect()
	if err != nil {
		return err
	}
	// A credential that does not work is reported here, and a command that signs in can ask here, before the browser waits.
	review, err := k.clients.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask the API server who you are: %w", err)
	}
	namespace, err := c.consoleNamespace()
	if err != nil {
		return err
	}
	folder := ""
	if browse {
		if folder, err = makeFolder(c.Getenv("HOME")); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(folder) }()
	}
	return console.ServeLocal(ctx, console.LocalOptions{
		API: k.config, Namespace: namespace, Port: port, Clock: c.Clock, Random: rand.Reader, Log: cli.ErrorLog(c.ErrOut), Version: c.Build.Version,
		PublicKeys: publicKeys,
		Ready: func(url string) {
			fmt.Fprintln(c.Out, url)
			fmt.Fprintf(c.ErrOut, "The console acts as %s. The URL works once, within 5 minutes. Ctrl-C ends the console.\n", review.Status.UserInfo.Username)
			if browse {
				c.open(folder, url)
			}
		},
	})
}

// consoleNamespace returns where the page begins: in the namespace of --namespace or of the context, or in all namespaces.
func (c *app) consoleNamespace() (string, error) {
	if *c.Flags.Namespace != "" {
		return *c.Flags.Namespace, nil
	}
	config, err := c.Flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return "", err
	}
	name := config.CurrentContext
	if *c.Flags.Context != "" {
		name = *c.Flags.Context
	}
	if known := config.Contexts[name]; known != nil {
		return known.Namespace, nil
	}
	return "", nil
}

// makeFolder makes a folder that the user and a browser can read. On Linux it is in the home, and not hidden: a browser that is a Snap reads
// neither the system's temporary files nor hidden files. Without a home that can be written, it is among the temporary files.
func makeFolder(home string) (string, error) {
	const name = "refreshkey-console-"
	if runtime.GOOS == "linux" && home != "" {
		if folder, err := os.MkdirTemp(home, name); err == nil {
			return folder, nil
		}
	}
	return os.MkdirTemp("", name)
}

// open opens the URL in the browser. Other users of the machine can read the arguments of a process, such as a code in a URL. So the
// browser gets a file that only this user can read, and that leads to the URL.
func (c *app) open(folder, url string) {
	file := filepath.Join(folder, "page.html")
	page := fmt.Sprintf("<!doctype html>\n<meta charset=\"utf-8\">\n<title>Refresh Keys</title>\n<meta name=\"referrer\" content=\"no-referrer\">\n"+
		"<meta http-equiv=\"refresh\" content=\"0;url=%[1]s\">\n<p><a href=\"%[1]s\">Continue</a></p>\n", html.EscapeString(url))
	err := os.WriteFile(file, []byte(page), 0o600)
	if err != nil {
		c.notOpened(err)
		return
	}
	// Some programs that open a browser end only with it.
	go func() {
		if err := c.Browse(file); err != nil {
			c.notOpened(err)
		}
	}()
}

func (c *app) notOpened(err error) {
	fmt.Fprintf(c.ErrOut, "The browser could not be opened (%v): open the URL yourself.\n", err)
}
