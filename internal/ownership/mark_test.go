package ownership

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func controlledBy(apiVersion, kind string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "orders", UID: "u1", Controller: ptr.To(true)}}
}

var (
	labelled   = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	keyVersion = v1alpha1.GroupVersion.String()
)

// markCases are Secrets of the namespace shop, by their metadata.
var markCases = []struct {
	name   string
	secret metav1.ObjectMeta
	// key is the refresh key to reconcile; kept and ofKey are the results for an uninstall.
	key   string
	kept  Kept
	ofKey bool
}{
	{"with its ownerReference", metav1.ObjectMeta{Labels: labelled, OwnerReferences: controlledBy(keyVersion, keyKind)}, "orders", Collected, true},
	{"with one of another version of the kind", metav1.ObjectMeta{Labels: labelled, OwnerReferences: controlledBy(v1alpha1.Group+"/v1", keyKind)}, "orders", Collected, true},
	{"with a controller of another kind and our annotation", metav1.ObjectMeta{
		Labels: labelled, OwnerReferences: controlledBy("external-secrets.io/v1", "ExternalSecret"), Annotations: map[string]string{v1alpha1.AnnotationOwner: "orders"},
	}, "", Collected, false},
	{"with a controller of our group and another kind", metav1.ObjectMeta{Labels: labelled, OwnerReferences: controlledBy(keyVersion, "JWTIssuer")}, "", Collected, false},
	{"with one that is not its controller", metav1.ObjectMeta{
		Labels: labelled, OwnerReferences: []metav1.OwnerReference{{APIVersion: keyVersion, Kind: keyKind, Name: "orders", UID: "u1"}},
	}, "", Stranded, false},
	{"retained", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "shop/orders/u1"}}, "orders", Retained, true},
	{"retained, old form", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "orders"}}, "orders", Retained, true},
	{"retained, copied from another namespace", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "elsewhere/orders/u1"}}, "", Retained, true},
	{"stranded", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationMadeFor: "shop/orders/u1"}}, "orders", Stranded, true},
	{"stranded, of an earlier version", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationJTI: "j"}}, "", Stranded, true},
	{"stranded, without the operator's label", metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationMadeFor: "shop/orders/u1"}}, "orders", Collected, false},
	{"with signing keys", metav1.ObjectMeta{Labels: labelled}, "", Stranded, false},
	{"malformed", metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationMadeFor: "shop"}}, "", Stranded, true},
}

func TestMarks(t *testing.T) {
	for _, tt := range markCases {
		t.Run(tt.name, func(t *testing.T) {
			tt.secret.Namespace = "shop"
			if got := KeyOf(&tt.secret); got != tt.key {
				t.Errorf("it names the key %q, want %q", got, tt.key)
			}
			if kept, ofKey := OfKey(&tt.secret); kept != tt.kept || ofKey != tt.ofKey {
				t.Errorf("OfKey returns %d, %t, want %d, %t", kept, ofKey, tt.kept, tt.ofKey)
			}
		})
	}
}

func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders.v2", UID: "u1"}}
	for annotation, retained := range map[string]bool{v1alpha1.AnnotationOwner: true, v1alpha1.AnnotationMadeFor: false} {
		mark, marked := MarkOf(&metav1.ObjectMeta{Namespace: "elsewhere", Annotations: map[string]string{annotation: MarkFor(key)}})
		if want := (Mark{Namespace: "shop", Name: "orders.v2", UID: "u1", Retained: retained}); !marked || mark != want {
			t.Errorf("%s reads as %+v, want %+v", annotation, mark, want)
		}
	}
	if old := OldMark(MarkFor(key)); old != "orders.v2" {
		t.Errorf("the old form is %q", old)
	}
}

func TestMadeFor(t *testing.T) {
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: "u1"}}
	for name, c := range map[string]struct {
		secret metav1.ObjectMeta
		want   bool
	}{
		"its controller":                    {metav1.ObjectMeta{Labels: labelled, OwnerReferences: controlledBy(keyVersion, keyKind)}, true},
		"its mark":                          {metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "shop/orders/u1"}}, true},
		"without the operator's label":      {metav1.ObjectMeta{OwnerReferences: controlledBy(keyVersion, keyKind)}, false},
		"of another kind":                   {metav1.ObjectMeta{Labels: labelled, OwnerReferences: controlledBy(keyVersion, "JWTIssuer")}, false},
		"the mark of an earlier key":        {metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "shop/orders/u0"}}, false},
		"the mark of another namespace":     {metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationMadeFor: "other/orders/u1"}}, false},
		"no mark":                           {metav1.ObjectMeta{Labels: labelled}, false},
		"a mark under a foreign controller": {metav1.ObjectMeta{Labels: labelled, Annotations: map[string]string{v1alpha1.AnnotationOwner: "shop/orders/u1"}, OwnerReferences: controlledBy("apps/v1", "Deployment")}, false},
	} {
		c.secret.Namespace = "shop"
		if got := MadeFor(&c.secret, key); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
