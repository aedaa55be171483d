package cel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestWhatIsAcceptedDecodes offers the API server many strings and numbers, good and
// bad, for every time, duration and integer of both kinds. Whatever it accepts must
// decode in Go: one object that does not would break everybody's typed list.
func TestWhatIsAcceptedDecodes(t *testing.T) {
	full := map[string]*unstructured.Unstructured{}
	for _, m := range readManifests(t, ".") {
		full[m.name] = m.documents[len(m.documents)-1]
	}
	candidates := map[fieldType][]string{
		timeField:     quoted(times()),
		durationField: quoted(durations()),
		integerField:  integers(),
	}
	for kind, prefix := range map[string]string{"JWTRefreshKey": "key", "JWTIssuer": "issuer"} {
		for part, manifest := range map[string]string{"spec": prefix + "_full", "status": prefix + "_status_full"} {
			o := newOffer(t, full[manifest], part)
			for _, f := range fieldsOf(kind) {
				if f.path[0] != part || candidates[f.kind] == nil {
					continue
				}
				t.Run(kind+"/"+f.path.String(), func(t *testing.T) { o.every(t, f.path, candidates[f.kind]) })
			}
		}
	}
}

func quoted(all []string) []string {
	var literals []string
	for _, s := range all {
		literal, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		literals = append(literals, string(literal))
	}
	return literals
}

const placeholder = "the literal goes here"

// offer submits an object with one of its fields replaced. Nothing is stored.
type offer struct {
	object *unstructured.Unstructured
	api    *rest.RESTClient
	verb   string
	path   string
}

// newOffer offers objects as a creation, or as a write of the status of one that is there.
func newOffer(t *testing.T, object *unstructured.Unstructured, part string) *offer {
	t.Helper()
	o := &offer{object: object.DeepCopy(), verb: http.MethodPost, path: resource(object)}
	o.object.SetName("offered")
	user := ""
	if part == "status" {
		stored := o.object.DeepCopy()
		create(t, as(t, ""), stored)
		o.object.SetResourceVersion(stored.GetResourceVersion())
		o.verb, o.path, user = http.MethodPut, o.path+"/offered/status", manager
	}
	config := server.As(user, "system:masters")
	if user == "" {
		config = server.Admin
	}
	config = rest.CopyConfig(config)
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.APIPath = "/apis"
	api, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	o.api = api
	return o
}

func resource(object *unstructured.Unstructured) string {
	base := "/apis/" + v1alpha1.GroupVersion.String()
	if object.GetKind() == "JWTIssuer" {
		return base + "/jwtissuers"
	}
	return base + "/namespaces/" + object.GetNamespace() + "/jwtrefreshkeys"
}

// every offers all candidates for one field, a few at a time.
func (o *offer) every(t *testing.T, path fieldPath, candidates []string) {
	if _, ok := path.find(o.object.Object); !ok {
		t.Fatalf("the full manifest lacks the field: add it")
	}
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)
	turns := make(chan struct{}, 4)
	for _, candidate := range candidates {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			ok, err := o.one(t, path, candidate)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s: %v", candidate, err)
			}
			if ok {
				accepted++
			}
		})
	}
	wait.Wait()
	if accepted == 0 || accepted == len(candidates) {
		t.Errorf("%d of %d candidates were accepted: what is offered for this field shows nothing", accepted, len(candidates))
	}
}

// one tells whether a literal was accepted; the error says that it does not decode.
func (o *offer) one(t *testing.T, path fieldPath, literal string) (bool, error) {
	answer, err := o.send(t, path, literal)
	switch {
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("neither accepted nor refused as invalid: %w", err)
	}
	if err := json.Unmarshal(answer, kinds[o.object.GetKind()]()); err != nil {
		return true, fmt.Errorf("accepted, but does not decode in Go: %w", err)
	}
	return true, nil
}

// send submits the object with a literal as it stands, and returns what was made of it.
func (o *offer) send(t *testing.T, path fieldPath, literal string) ([]byte, error) {
	object := o.object.DeepCopy()
	// A number that a client would write in another way must arrive as it is.
	if err := path.set(object.Object, placeholder); err != nil {
		return nil, err
	}
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	body = bytes.Replace(body, []byte(strconv.Quote(placeholder)), []byte(literal), 1)
	result := o.api.Verb(o.verb).AbsPath(o.path).Param("dryRun", "All").
		SetHeader("Content-Type", "application/json").Body(body).Do(t.Context())
	if err := result.Error(); err != nil {
		return nil, err // with the API server's message, which Raw leaves out
	}
	return result.Raw()
}
