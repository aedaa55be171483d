package cel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestWhatIsAcceptedDecodes offers the API server many strings and numbers, good and
// bad, for every time, duration and integer of both kinds. Each accepted value must
// decode in Go: one object that does not would break the typed list of every client.
func TestWhatIsAcceptedDecodes(t *testing.T) {
	full := map[string]*unstructured.Unstructured{}
	for _, m := range readManifests(t, valid) {
		full[m.name] = m.last()
	}
	candidates := map[fieldType][]string{
		timeField:     quoted(times()),
		durationField: quoted(durations()),
		integerField:  integers(),
	}
	for _, folder := range []string{"key.spec", "key.status", "issuer.spec", "issuer.status"} {
		object := full[folder+"/valid_full"]
		_, part, _ := strings.Cut(folder, ".")
		o := newOffer(t, object, part)
		for _, f := range fieldsOf(object.GetKind()) {
			if f.path[0] == part && candidates[f.kind] != nil {
				t.Run(object.GetKind()+"/"+f.path.String(), func(t *testing.T) { o.every(t, f.path, candidates[f.kind]) })
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
	admin  client.Client
	api    *rest.RESTClient
	verb   string
	path   string

	mu sync.Mutex
	// version is the version of the stored object whose status is written. In an existing
	// cluster, the operator can write it at the same time.
	version string
}

// newOffer offers an object as a creation, or as a write of the status of one that is
// there.
func newOffer(t *testing.T, object *unstructured.Unstructured, part string) *offer {
	t.Helper()
	f := newFixture(t)
	o := &offer{object: object.DeepCopy(), admin: f.Admin, verb: http.MethodPost, path: resource(object)}
	o.object.SetName("offered-as-" + part)
	config := rest.CopyConfig(server.Admin)
	if part == "status" {
		stored := o.object.DeepCopy()
		f.Create(stored)
		o.version = stored.GetResourceVersion()
		o.verb, o.path = http.MethodPut, o.path+"/"+o.object.GetName()+"/status"
		config = server.As(manager, "system:masters")
	}
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

// one reports whether a literal was accepted; the error says that it does not decode.
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

// send submits the object with a literal as it stands, since a client would write some
// numbers in another way, and returns what was made of it.
func (o *offer) send(t *testing.T, path fieldPath, literal string) ([]byte, error) {
	var answer []byte
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		answer, err = o.sendOnce(t, path, literal)
		return err
	})
	return answer, err
}

func (o *offer) sendOnce(t *testing.T, path fieldPath, literal string) ([]byte, error) {
	object := o.object.DeepCopy()
	if o.verb == http.MethodPut {
		o.mu.Lock()
		object.SetResourceVersion(o.version)
		o.mu.Unlock()
	}
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
	// Its error holds the API server's message, which that of Raw leaves out.
	err = result.Error()
	if apierrors.IsConflict(err) {
		err = errors.Join(err, o.refresh(t.Context()))
	}
	if err != nil {
		return nil, err
	}
	return result.Raw()
}

func (o *offer) refresh(ctx context.Context) error {
	stored := o.object.DeepCopy()
	if err := o.admin.Get(ctx, client.ObjectKeyFromObject(stored), stored); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = stored.GetResourceVersion()
	return nil
}
