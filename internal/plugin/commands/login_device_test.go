package commands

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	service "github.com/refreshkeys/refreshkeys/test/framework/replica"
)

var shownCode = regexp.MustCompile(`enter the code (CLI-[A-Z-]+)\nor open (\S+)`)

// TestLoginOfADevice checks the command with the token service itself: the code that it shows, and what it does when a person has decided.
func TestLoginOfADevice(t *testing.T) {
	for _, c := range []struct {
		answer string
		code   int
		errOut string
	}{{"allow", cli.ExitDone, ""}, {"deny", cli.ExitRefused, "access_denied"}, {"", cli.ExitTimedOut, "no sign-in before the code ended"}} {
		t.Run("answer "+c.answer, func(t *testing.T) {
			issuer, caFile := tokenService(t)
			home := t.TempDir()
			clock := clocktesting.NewFakeClock(service.Start)
			var out, errOut lockedText
			ended := make(chan int, 1)
			go func() {
				ended <- Main(t.Context(), strings.Fields("login --device --issuer-url "+issuer+" --ca-file "+caFile), cli.Options{
					IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut},
					Clock:     clock, Build: build, Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
				})
			}()
			wait := gomega.NewWithT(t)
			wait.Eventually(clock.HasWaiters).WithTimeout(time.Minute).Should(gomega.BeTrue(), "the command never polls")
			shown := shownCode.FindStringSubmatch(errOut.String())
			if shown == nil {
				t.Fatalf("it shows %s", errOut.String())
			}
			if c.answer != "" {
				decideAbout(t, shown[2], caFile, c.answer)
			}
			var code int
			for running := true; running; {
				select {
				case code = <-ended:
					running = false
				default:
					if clock.HasWaiters() {
						clock.Step(5 * time.Second)
					}
				}
			}
			raw, err := os.ReadFile(filepath.Join(home, ".config", "refreshkeys", "sessions", "default.json"))
			if code != c.code || !strings.Contains(errOut.String(), c.errOut) || (err == nil) != (c.code == cli.ExitDone) {
				t.Fatalf("exit code %d, %v: %s", code, err, errOut.String())
			}
			var kept session
			if c.code == cli.ExitDone && (json.Unmarshal(raw, &kept) != nil || kept.RefreshToken == "" || !strings.Contains(out.String(), "https://orders.example.com")) {
				t.Errorf("%s: %s", out.String(), raw)
			}
		})
	}
}

// decideAbout opens the link of a device as Ada, and answers.
func decideAbout(t *testing.T, link, caFile, answer string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := (&app{cli.New(cli.Options{})}).httpClient(caFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	ada := &person{t: t, browser: &http.Client{Jar: jar, Transport: client.Transport}}
	entry := ada.submit(ada.page(ada.browser.Get(link)), url.Values{"username": {"ada"}, "password": {"correct horse"}})
	typed := regexp.MustCompile(`name="user_code" value="([^"]+)"`).FindStringSubmatch(entry)
	if typed == nil {
		t.Fatalf("the page does not ask for a code: %s", entry)
	}
	ada.submit(ada.submit(entry, url.Values{"user_code": {typed[1]}}), url.Values{"answer": {answer}})
}
