package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

// TestAnEventOfAWatch checks that an event that is read for its row has the same row as the whole object.
func TestAnEventOfAWatch(t *testing.T) {
	read := sources["keys"].read
	line := func(kind watch.EventType, object any) []byte {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"type":%q,"object":%s}`, kind, text)
	}
	for name, change := range map[string]func(*v1alpha1.JWTRefreshKey){
		"issued": func(*v1alpha1.JWTRefreshKey) {},
		"being deleted": func(key *v1alpha1.JWTRefreshKey) {
			key.DeletionTimestamp = sample.At(0)
		},
		"labelled by Flux": func(key *v1alpha1.JWTRefreshKey) {
			key.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "shop"}
		},
		"annotated by Argo CD": func(key *v1alpha1.JWTRefreshKey) {
			key.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "shop"}
		},
		"written by Helm": func(key *v1alpha1.JWTRefreshKey) {
			key.ManagedFields = []metav1.ManagedFieldsEntry{
				{Manager: "refreshkeys", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`)},
				{Manager: "helm", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)},
			}
		},
		"a session": func(key *v1alpha1.JWTRefreshKey) {
			key.Status.Session = &v1alpha1.SessionStatus{Subject: "ada", StartedAt: *sample.At(0)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := sample.Issued(change)
			key.ResourceVersion = "7"
			event, err := read(line(watch.Modified, key))
			if err != nil || event.Type != watch.Modified {
				t.Fatalf("%+v: %v", event, err)
			}
			if got, want := view.KeyRow(event.Object.(*v1alpha1.JWTRefreshKey)), view.KeyRow(key); !reflect.DeepEqual(got, want) {
				t.Errorf("the row is\n%+v\ninstead of\n%+v", got, want)
			}
		})
	}
	gone := apierrors.NewResourceExpired("too old").Status()
	if _, err := read(line(watch.Error, gone)); !apierrors.IsResourceExpired(err) {
		t.Errorf("the error of the API server is %v", err)
	}
	if _, err := read([]byte(`{"type":"ADDED","object":{"spec":{"audience":7}}}`)); err == nil {
		t.Error("an event that is no key was read")
	}
	if _, err := read(line(watch.Error, metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "etcd is away"})); err == nil || err.Error() != "etcd is away" {
		t.Errorf("the error of the API server is %v", err)
	}
}

// BenchmarkAnEventOfAWatch reads the event of a key as large as one that the manager has issued.
func BenchmarkAnEventOfAWatch(b *testing.B) {
	key := sample.Issued()
	for _, manager := range []string{"manager", "tokenserver"} {
		fields := metav1.NewFieldsV1(fmt.Sprintf(`{"f:status":{%q:{}}}`, "f:"+strings.Repeat("x", 1000)))
		key.ManagedFields = append(key.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: fields})
	}
	text, err := json.Marshal(key)
	if err != nil {
		b.Fatal(err)
	}
	line := fmt.Appendf(nil, `{"type":"ADDED","object":%s}`, text)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sources["keys"].read(line); err != nil {
			b.Fatal(err)
		}
	}
}
