package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestOneTimeCode checks when a code is accepted, and that it is accepted once.
func TestOneTimeCode(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		tries []string
		want  []bool
	}{
		{"the code", 0, []string{"code"}, []bool{true}},
		{"the code twice", 0, []string{"code", "code"}, []bool{true, false}},
		{"another code, and then the code", 0, []string{"cod", "codes", "", "code"}, []bool{false, false, false, true}},
		{"the code at the end of its time", codeLife - time.Second, []string{"code"}, []bool{true}},
		{"the code after its time", codeLife, []string{"code"}, []bool{false}},
		{"nothing, after the code was used", 0, []string{"code", ""}, []bool{true, false}},
	} {
		fake := clocktesting.NewFakeClock(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC))
		l := &local{clock: fake, code: "code", until: fake.Now().Add(codeLife)}
		fake.Step(c.after)
		for i, code := range c.tries {
			if got := l.redeem(code); got != c.want[i] {
				t.Errorf("%s: try %d is %t", c.name, i+1, got)
			}
		}
	}
}

// TestServeLocal checks the way from the URL to a session with the credential of a kubeconfig, over plain HTTP on the loopback
// interface, and that the server ends with its context.
func TestServeLocal(t *testing.T) {
	api := newCluster(t)
	token := api.user("kubernetes-admin")
	ctx, cancel := context.WithCancel(t.Context())
	opened, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- ServeLocal(ctx, LocalOptions{
			API: &rest.Config{Host: api.URL, BearerToken: token}, Namespace: "shop", Clock: clocktesting.NewFakeClock(time.Now()), Random: rand.Reader,
			Log: logr.Discard(), Version: "v1.2.3", PublicKeys: http.DefaultClient, Ready: func(url string) { opened <- url },
		})
	}()
	page, err := url.Parse(<-opened)
	if err != nil {
		t.Fatal(err)
	}
	base, ok := strings.CutSuffix(page.Path, "signin")
	code, coded := strings.CutPrefix(page.Fragment, "code=")
	if page.Scheme != "http" || page.Hostname() != "127.0.0.1" || !ok || len(base) != 22 || !coded || len(code) != 43 {
		t.Fatalf("the URL is %s", page)
	}
	send := func(method, path, body string, cookies ...*http.Cookie) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+page.Host+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		answer.Body = io.NopCloser(bytes.NewReader(text))
		return answer
	}
	if got := send("GET", "/", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("a path that another page can guess: %d", got.StatusCode)
	}
	if me := read[wire.Me](t, send("GET", base+"api/me", "")); !me.Ways.Local || me.Ways.Token || me.SignedIn || !me.SharedStream {
		t.Errorf("without a session: %+v", me)
	}
	for _, bad := range []string{`{"code":"guess"}`, `{"code":""}`, fmt.Sprintf(`{"token":%q}`, token), fmt.Sprintf(`{"token":%q,"code":%q}`, token, code)} {
		if got := send("POST", base+"api/login", bad); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", bad, got.StatusCode)
		}
	}
	body, err := json.Marshal(wire.Login{Code: code})
	if err != nil {
		t.Fatal(err)
	}
	answer := send("POST", base+"api/login", string(body))
	cookie := cookieOf(t, answer)
	if want := fmt.Sprintf("rk-%s=%s; Path=%s; HttpOnly; SameSite=Strict", page.Port(), cookie.Value, base); answer.Header.Get("Set-Cookie") != want {
		t.Errorf("the cookie is %q, want %q", answer.Header.Get("Set-Cookie"), want)
	}
	if answer.Header.Get("Strict-Transport-Security") != "" {
		t.Error("plain HTTP demands TLS")
	}
	me := read[wire.Me](t, send("GET", base+"api/me", "", cookie))
	if me.User != "kubernetes-admin" || me.Means != wire.Kubeconfig || me.Namespace != "shop" || !me.Reveal {
		t.Errorf("%+v", me)
	}
	if again := send("POST", base+"api/login", string(body)); again.StatusCode != http.StatusUnauthorized {
		t.Errorf("the code again: %d", again.StatusCode)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the server ends with %v", err)
	}
}
