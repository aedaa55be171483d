package commands

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func TestConsoleRefusals(t *testing.T) {
	play(t, "console", []row{
		{name: "no such port", args: "console --port 65536", code: cli.ExitUsage},
		{name: "a negative port", args: "console --port -1", code: cli.ExitUsage},
		{name: "an argument", args: "console orders", code: cli.ExitUsage},
		{name: "no such file of authorities", args: "console --ca-file none", code: cli.ExitUsage},
		{name: "a person without rights", args: "console --as guest", code: cli.ExitError},
		{name: "the API server is unavailable", args: "console --server https://127.0.0.1:1", code: cli.ExitError},
	})
}

// consoleURL has a place that cannot be guessed, and a code in its fragment.
var consoleURL = regexp.MustCompile(`^(http://127\.0\.0\.1:\d+/[A-Za-z0-9_-]{20}/)signin#code=([A-Za-z0-9_-]{43})$`)

// TestConsole runs the console with and without a browser, signs in by the code of its URL, and ends it.
func TestConsole(t *testing.T) {
	for _, c := range []struct {
		name, args string
		browse     func(file string) error
		opens      bool
		namespace  string
		says       string
		// home is that of the user; empty for a folder of the test.
		home string
	}{
		{name: "with a browser", args: "console", opens: true, namespace: "shop"},
		{name: "with a browser, and a home that cannot be written", args: "console", opens: true, namespace: "shop", home: "/nowhere"},
		{name: "only the URL", args: "console --no-browser", namespace: "shop"},
		{name: "no browser is found", args: "console", opens: true, browse: func(string) error { return errors.New("no program") }, namespace: "shop",
			says: "The browser could not be opened (no program): open the URL yourself."},
		{name: "another namespace", args: "console --no-browser -n billing", namespace: "billing"},
		{name: "no namespace", args: "console --no-browser --context roaming", namespace: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opened, home := make(chan string, 1), cmp.Or(c.home, t.TempDir())
			run := runConsole(t, c.args, home, func(file string) error {
				opened <- file
				if c.browse != nil {
					return c.browse(file)
				}
				return nil
			})
			parts := consoleURL.FindStringSubmatch(run.url)
			if parts == nil {
				t.Fatalf("the URL is %q", run.url)
			}
			file := ""
			if c.opens {
				file = <-opened
				wantPrivatePage(t, file, run.url)
				wantVisible(t, file, home)
			}
			me := signInAt(t, parts[1], parts[2])
			if me.User != "jane" || me.Means != wire.Kubeconfig || me.Namespace != c.namespace {
				t.Errorf("%+v", me)
			}
			// What starts the browser reports when it ends.
			gomega.NewWithT(t).Eventually(run.errOut.String).Should(gomega.ContainSubstring(c.says))
			if code := run.end(); code != cli.ExitDone || !strings.Contains(run.errOut.String(), "The console acts as jane.") {
				t.Errorf("exit code %d: %s", code, run.errOut.String())
			}
			if _, err := os.Stat(file); c.opens && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", file, err)
			}
			if left, _ := os.ReadDir(home); len(left) > 0 {
				t.Errorf("%s is left in the home", left[0].Name())
			}
			if len(opened) > 0 {
				t.Error("a browser was opened")
			}
		})
	}
}

// running is a console that runs.
type running struct {
	url    string
	errOut *lockedText
	// end ends the console as Ctrl-C does, and returns its exit code.
	end func() int
}

// lockedText is a text that one goroutine writes while others read it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lockedText) Write(more []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(more)
}

// String implements fmt.Stringer.
func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func runConsole(t *testing.T, args, home string, browse func(string) error) *running {
	t.Helper()
	w := newHarness(t)
	w.cluster = newFakeCluster(t, w.objects)
	w.write("kubeconfig", string(w.cluster.kubeconfig()))
	ctx, cancel := context.WithCancel(t.Context())
	out, to := io.Pipe()
	errOut := &lockedText{}
	ended := make(chan int, 1)
	go func() {
		ended <- Main(ctx, append(strings.Fields(args), "--kubeconfig", filepath.Join(w.dir, "kubeconfig")), cli.Options{
			IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: to, ErrOut: errOut},
			Clock:     clocktesting.NewFakeClock(noon), Build: build, Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }, Browse: browse,
		})
		_ = to.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no URL: %v, exit code %d: %s", err, <-ended, errOut)
	}
	return &running{url: strings.TrimSpace(line), errOut: errOut, end: func() int {
		cancel()
		return <-ended
	}}
}

// wantPrivatePage checks that only the user can read the page that the browser is given, and that it leads to the URL.
func wantPrivatePage(t *testing.T, file, url string) {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), `content="0;url=`+html.EscapeString(url)+`"`) {
		t.Errorf("%v: %s", err, page)
	}
	for path, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
}

// wantVisible checks that a browser in a sandbox can read the page: on Linux it is in the home, and no part of its path there is hidden.
func wantVisible(t *testing.T, file, home string) {
	t.Helper()
	if _, err := os.Stat(home); err != nil || runtime.GOOS != "linux" {
		return
	}
	within, err := filepath.Rel(home, file)
	if err != nil || strings.HasPrefix(within, ".") || strings.Contains(within, "/.") {
		t.Errorf("the page is %s, and the home %s", file, home)
	}
}

// signInAt signs in by a code, and returns who the console then says is signed in.
func signInAt(t *testing.T, base, code string) *wire.Me {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	me := &wire.Me{}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "api/login", `{"code":"` + code + `"}`}, {http.MethodGet, "api/me", ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(answer.Body).Decode(me)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", c.path, answer.Status, err)
		}
	}
	return me
}
