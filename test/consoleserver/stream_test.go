package consoleserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// stream reads the events of one stream, as a browser does.
type stream struct {
	*visitor
	response *http.Response
	lines    *bufio.Reader
	close    context.CancelFunc
	// id is the id of the last event that has one.
	id string
}

// sent is an event of a stream.
type sent struct{ name, data string }

// follow opens a stream until the test ends. An id is one to resume from.
func (v *visitor) follow(query, id string) *stream {
	v.T.Helper()
	ctx, cancel := context.WithTimeout(v.Ctx, harness.Patience)
	v.T.Cleanup(cancel)
	in := *v
	fixtured, h := *v.fixture, *v.Harness
	h.Ctx = ctx
	fixtured.Harness = &h
	in.fixture = &fixtured
	var headers []string
	if id != "" {
		headers = []string{"Last-Event-ID", id}
	}
	response := in.open(http.MethodGet, "api/stream?"+query, nil, headers...)
	v.Expect(response.StatusCode).To(gomega.Equal(http.StatusOK))
	v.T.Cleanup(func() { _ = response.Body.Close() })
	return &stream{visitor: v, response: response, lines: bufio.NewReaderSize(response.Body, 1<<20), close: cancel, id: id}
}

// next returns the next event. Comments are skipped.
func (s *stream) next() sent {
	s.T.Helper()
	one, err := s.read()
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return one
}

func (s *stream) read() (one sent, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return one, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case name == "" && one.name != "":
			return one, nil
		case name == "event":
			one.name = value
		case name == "data":
			one.data = value
		case name == "id":
			s.id = value
		}
	}
}

// put returns the rows of the next event, which must be put.
func (s *stream) put() wire.Put {
	s.T.Helper()
	one := s.next()
	s.Expect(one.name).To(gomega.Equal("put"), "%s", one.data)
	var put wire.Put
	s.Expect(json.Unmarshal([]byte(one.data), &put)).To(gomega.Succeed())
	return put
}

// begun reads until all that exists was sent, and returns the names of the keys.
func (s *stream) begun() (names []string) {
	s.T.Helper()
	s.Expect(s.next().name).To(gomega.Equal("reset"))
	s.Expect(s.id).To(gomega.Equal("none"))
	for {
		one := s.next()
		if one.name == "synced" {
			s.Expect(s.id).NotTo(gomega.Equal("none"))
			slices.Sort(names)
			return names
		}
		var put wire.Put
		s.Expect(one.name).To(gomega.Equal("put"), "%s", one.data)
		s.Expect(json.Unmarshal([]byte(one.data), &put)).To(gomega.Succeed())
		s.Expect(s.id).To(gomega.Equal("none"), "there is nothing to resume from yet")
		for _, key := range put.Keys {
			names = append(names, key.Name)
		}
	}
}

// bye returns the last event.
func (s *stream) bye() (bye wire.Bye) {
	s.T.Helper()
	for {
		one := s.next()
		if one.name == "bye" {
			s.Expect(json.Unmarshal([]byte(one.data), &bye)).To(gomega.Succeed())
			_, err := s.lines.ReadByte()
			s.Expect(err).To(gomega.MatchError(io.EOF), "the stream ends after bye")
			return bye
		}
	}
}

// TestAStream checks the events of a stream: what exists, changes, a deletion, and what it resumes from.
func TestAStream(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	first := f.Key("first")
	f.Key("second")
	s := v.follow("kind=keys,issuers&ns="+f.Name, "")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"} {
		f.Expect(s.response.Header.Get(name)).To(gomega.Equal(want))
	}
	f.Expect(s.begun()).To(gomega.Equal([]string{"first", "second"}))
	third := f.Key("third")
	f.Expect(s.put().Keys[0].UID).To(gomega.Equal(string(third.UID)))
	issuer := f.Issuer()
	f.Expect(s.put().Issuers[0].UID).To(gomega.Equal(string(issuer.UID)))
	f.Edit(third, func() { third.Spec.Audience = "https://changed.example.com" })
	f.Expect(s.put().Keys[0].Audience).To(gomega.Equal("https://changed.example.com"))
	s.close()

	f.Expect(f.Admin.Delete(f.Ctx, first)).To(gomega.Succeed())
	f.Key("fourth")
	resumed := v.follow("kind=keys,issuers&ns="+f.Name, s.id)
	f.Expect(resumed.next().name).To(gomega.Equal("synced"))
	f.Expect(resumed.next()).To(gomega.Equal(sent{"del", fmt.Sprintf(`{"keys":[%q]}`, first.UID)}))
	f.Expect(resumed.put().Keys[0].Name).To(gomega.Equal("fourth"))
	f.Expect(resumed.id).NotTo(gomega.Equal(s.id))
	reopened := v.follow("kind=keys,issuers&ns="+f.Name+"&after="+url.QueryEscape(s.id), "")
	f.Expect(reopened.next().name).To(gomega.Equal("synced"), "a page cannot set the header, and says the id in the query")
}

// TestAStreamThatCannotResume checks that a stream begins again where the API server lacks the changes since its id, and where the id
// is none.
func TestAStreamThatCannotResume(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	f.Key("orders")
	old := v.follow("kind=keys&ns="+f.Name, "keys=1")
	for one := old.next(); one.name != "reset"; one = old.next() {
		f.Expect(one.name).To(gomega.Equal("synced"))
	}
	f.Expect(old.put().Keys[0].Name).To(gomega.Equal("orders"))
	f.Expect(old.next().name).To(gomega.Equal("synced"))
	for _, id := range []string{"issuers=1", "keys=", "keys=%00", "keys=1;", "keys=" + strings.Repeat("1", 65), "%zz"} {
		f.Expect(v.follow("kind=keys&ns="+f.Name, id).begun()).To(gomega.Equal([]string{"orders"}), id)
	}
}

// TestAStreamOfAnAPIServerWithoutWatchList checks that a stream begins with a list in chunks where the API server refuses to send what
// exists as the first events of a watch.
func TestAStreamOfAnAPIServerWithoutWatchList(t *testing.T) {
	lists := 0
	earlier, _ := through(t, func(apiServer http.Handler, w http.ResponseWriter, r *http.Request) {
		switch query := r.URL.Query(); {
		case query.Get("sendInitialEvents") != "":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
				Message: "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
			})
			return
		case query.Get("limit") == "500":
			lists++
		}
		apiServer.ServeHTTP(w, r)
	})
	f := newFixture(t, earlier)
	v := f.visitor(everything)
	f.Key("first")
	s := v.follow("kind=keys&ns="+f.Name, "")
	f.Expect(s.begun()).To(gomega.Equal([]string{"first"}))
	f.Expect(lists).To(gomega.Equal(1))
	f.Key("second")
	f.Expect(s.put().Keys[0].Name).To(gomega.Equal("second"))
}

// TestWhyAStreamEnds checks the last event of streams that the API server ends.
func TestWhyAStreamEnds(t *testing.T) {
	f := newFixture(t)
	reader := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "list", "watch"))
	reader.follow("kind=keys", "").begun()
	bye := reader.follow("kind=keys,issuers", "").bye()
	f.Expect(bye.Reason).To(gomega.Equal("forbidden"))
	f.Expect(bye.Kind).To(gomega.Equal("issuers"))
	f.Expect(bye.Failure.Ask).To(gomega.Equal("kubectl auth can-i list jwtissuers.jwt.refreshkeys.dev"))
	none := f.visitor().follow("kind=keys&ns="+f.Name, "").bye()
	f.Expect(none.Failure.Ask).To(gomega.Equal("kubectl auth can-i list jwtrefreshkeys.jwt.refreshkeys.dev --namespace " + f.Name))
	f.Expect(none.Failure.Message).To(gomega.ContainSubstring("cannot list resource"))
	once := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "list")).follow("kind=keys", "").bye()
	f.Expect(once.Failure.Ask).To(gomega.Equal("kubectl auth can-i watch jwtrefreshkeys.jwt.refreshkeys.dev --all-namespaces"))

	leaving := f.visitor(everything)
	f.Expect(f.Admin.Delete(f.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.Name, Name: leaving.account}})).To(gomega.Succeed())
	f.AwaitState("the end of the credential", func() (bool, string) {
		response := leaving.open(http.MethodGet, "api/stream?kind=keys", nil)
		defer response.Body.Close()
		first := make([]byte, 4096)
		n, _ := io.ReadAtLeast(response.Body, first, len("event: reset\ndata: {}\n\nevent: bye\ndata: {\"reason\":\"expired\""))
		return response.StatusCode == http.StatusUnauthorized || strings.Contains(string(first[:n]), `"reason":"expired"`), string(first[:n])
	})
}

// TestAStreamWithoutAnAPIServerOrCRDs checks what a page receives if the API server lacks the kinds, and if it cannot be reached.
func TestAStreamWithoutAnAPIServerOrCRDs(t *testing.T) {
	missing := false
	change, closeProxy := through(t, func(apiServer http.Handler, w http.ResponseWriter, r *http.Request) {
		if missing && strings.Contains(r.URL.Path, v1alpha1.Group) {
			http.NotFound(w, r)
			return
		}
		apiServer.ServeHTTP(w, r)
	})
	f := newFixture(t, change)
	v := f.visitor(everything)
	missing = true
	f.Expect(v.follow("kind=keys", "").bye().Reason).To(gomega.Equal("missing"))
	missing = false
	open := v.follow("kind=keys&ns="+f.Name, "")
	open.begun()
	closeProxy()
	f.Expect(open.bye().Reason).To(gomega.Equal("away"))
	f.Expect(v.follow("kind=keys", "").bye().Reason).To(gomega.Equal("away"))
}

// TestAStreamIsKeptOpen checks the comments of a quiet stream.
func TestAStreamIsKeptOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the heartbeat")
	}
	f := newFixture(t)
	s := f.visitor(everything).follow("kind=keys&ns="+f.Name, "")
	s.begun()
	began := time.Now()
	line, err := s.lines.ReadString('\n')
	f.Expect(err).NotTo(gomega.HaveOccurred())
	f.Expect(line).To(gomega.Equal(":\n"))
	f.Expect(time.Since(began)).To(gomega.BeNumerically("~", 15*time.Second, 2*time.Second))
}
