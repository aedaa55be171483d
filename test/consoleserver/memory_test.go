package consoleserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	// manyKeys is the size of a large installation.
	manyKeys = 10_000
	// streamsAtOnce is how many streams begin at the same time.
	streamsAtOnce = 4
	// mostMemory is what one session may need, in bytes.
	mostMemory = 15 << 20
)

// TestManyKeysNeedLittleMemory measures what streams of 10,000 keys need while they begin, and what they keep. The keys are copies of one
// that the API server stored, as it sends them.
func TestManyKeysNeedLittleMemory(t *testing.T) {
	const n = manyKeys
	event := ""
	change, _ := through(t, func(apiServer http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			apiServer.ServeHTTP(w, r)
			return
		}
		copies(w, r, event, n)
	})
	f := newFixture(t, change)
	v := f.visitor(everything)
	event = storedKey(f)

	before := heap()
	peak := watchHeap()
	sizes := make([]measure, streamsAtOnce)
	var all sync.WaitGroup
	release := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(streamsAtOnce)
	for i := range streamsAtOnce {
		response := v.open(http.MethodGet, "api/stream?kind=keys&ns="+f.Name, nil)
		all.Go(func() {
			defer response.Body.Close()
			sizes[i] = measured(response.Body)
			begun.Done()
			<-release
		})
	}
	begun.Wait()
	highest := peak()
	after := heap()
	close(release)
	all.Wait()
	each, kept := (highest-before)/streamsAtOnce, (after-before)/streamsAtOnce
	t.Logf("%d keys: %d bytes a row, %d gzipped; a stream that begins needs %.1f MiB at most, and keeps %.2f MiB",
		n, sizes[0].bytes/n, sizes[0].zipped/n, float64(each)/(1<<20), float64(kept)/(1<<20))
	f.Expect(sizes[0].bytes).To(gomega.BeNumerically(">", n*200), "the stream has the rows, and ends with %s", sizes[0].tail)
	if each > mostMemory {
		t.Errorf("a stream needs %d bytes of memory, more than %d", each, mostMemory)
	}
}

// storedKey returns the watch event of a key with a status.
func storedKey(f *fixture) string {
	f.T.Helper()
	config, err := f.Server.Manager(f.Ctx)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	manager, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	f.Expect(err).NotTo(gomega.HaveOccurred())
	key := f.Key("orders-NUMBER", func(k *v1alpha1.JWTRefreshKey) { k.Name = "orders-00000" })
	at := metav1.NewTime(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	key.Status = v1alpha1.JWTRefreshKeyStatus{
		Issuer: "default", SecretName: key.Name, RenewalTime: &at, LastUsed: &at, LastUsedRevision: 2,
		TokenLine: v1alpha1.TokenLine{
			Revision: 2, JTI: string(key.UID), TokenHash: "sha256:" + strings.Repeat("5e", 32), KeyID: strings.Repeat("k", 43), CreatedAt: &at, ExpiresAt: &at,
			Content: &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"aud":%q,"iat":1777636800,"jti":%q,"exp":1780228800}`, harness.Audience, key.UID)},
		},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIssued, LastTransitionTime: at,
			Message: "Revision 2 is in Secret " + key.Name + ".",
		}},
		DeviceInfo: &v1alpha1.SeenDevice{Browser: "Firefox 140", OS: "Linux", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	}
	f.Expect(manager.Status().Update(f.Ctx, key)).To(gomega.Succeed())
	key.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))
	text, err := json.Marshal(key)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	f.T.Logf("the object has %d bytes", len(text))
	return fmt.Sprintf(`{"type":"ADDED","object":%s}`+"\n", text)
}

// copies answers a watch with copies of an event, and with the end of what exists.
func copies(w http.ResponseWriter, r *http.Request, event string, n int) {
	w.Header().Set("Content-Type", "application/json")
	before, after, _ := strings.Cut(event, "orders-00000")
	for i := range n {
		if _, err := fmt.Fprintf(w, "%sorders-%05d%s", before, i, after); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, `{"type":"BOOKMARK","object":{"kind":"JWTRefreshKey","apiVersion":"jwt.refreshkeys.dev/v1alpha1","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// heap returns the bytes of the heap that are in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// watchHeap returns a function that returns the most bytes of the heap in use until then.
func watchHeap() (highest func() int) {
	done, result := make(chan struct{}), make(chan int)
	go func() {
		most, stats := 0, runtime.MemStats{}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&stats)
				most = max(most, int(stats.HeapInuse))
			case <-done:
				result <- most
				return
			}
		}
	}()
	return func() int { close(done); return <-result }
}

// measure is the size of the events of a stream until it is synced.
type measure struct {
	bytes, zipped int
	tail          string
}

// measured reads a stream until it is synced, and keeps nothing of it.
func measured(stream io.Reader) (m measure) {
	counted := &counter{}
	zip := gzip.NewWriter(counted)
	chunk, tail := make([]byte, 32<<10), []byte(nil)
	for {
		n, err := stream.Read(chunk)
		m.bytes += n
		_, _ = zip.Write(chunk[:n])
		tail = append(tail, chunk[:n]...)
		if err != nil || bytes.Contains(tail, []byte("event: synced")) {
			_ = zip.Close()
			m.zipped, m.tail = counted.n, string(tail[max(0, len(tail)-1000):])
			return m
		}
		tail = append([]byte(nil), tail[max(0, len(tail)-20):]...)
	}
}

type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }
