package view

import (
	"cmp"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
)

// KeyDetail returns the detail of a refresh key, which stored is as the API server has it, with its events or why they cannot be read.
func KeyDetail(key *v1alpha1.JWTRefreshKey, stored *unstructured.Unstructured, events []eventsv1.Event, failure *wire.Failure, now time.Time) (wire.KeyDetail, error) {
	detail := wire.KeyDetail{
		Row: KeyRow(key), Next: next(key, now), Revisions: revisions(key, now), Conditions: conditions(key.Status.Conditions),
		Events: eventsOf(events), EventsFailure: failure, Guidance: keyGuidance(key), RevocationNote: outlook.RevocationNote(key),
		Meant: meant(key.Spec.DeviceInfo), Seen: seen(key.Status.DeviceInfo),
		Subject:    outlook.Subject(key),
		SecretName: cmp.Or(key.Status.SecretName, lifecycle.SecretName(key)), AccessToken: lifecycle.WantsAccessToken(key),
		Scopes: key.Spec.Scopes, Facts: facts(key),
	}
	detail.Differs = differing(detail.Meant, detail.Seen)
	detail.Snippets = snippets(detail.SecretName, key.Spec.Audience, detail.AccessToken)
	if content := key.Status.Content; content != nil {
		detail.Content = Claims(content.Raw)
	}
	if e := key.Status.Effective; e != nil && e.AccessTokenLifetime != nil {
		detail.AccessTokenSeconds = int64(e.AccessTokenLifetime.Seconds())
	}
	var err error
	if detail.Object, detail.YAML, err = object(stored); err != nil {
		return detail, err
	}
	detail.Manifest, err = manifest(stored)
	return detail, err
}

func next(key *v1alpha1.JWTRefreshKey, now time.Time) []wire.Next {
	kinds := map[outlook.What]string{
		outlook.Blocked: "Blocked", outlook.Waiting: "Waiting", outlook.Renewal: "Renewal", outlook.Use: "Use",
		outlook.Retirement: "Retirement", outlook.SupersededEnd: "SupersededEnd", outlook.IdleEnd: "IdleEnd",
		outlook.TokenEnd: "TokenEnd", outlook.KeyEnd: "KeyEnd",
	}
	actions := map[outlook.Action]string{outlook.Rotate: "Rotate", outlook.RotateNow: "RotateNow"}
	all := []wire.Next{}
	for _, one := range outlook.Of(key, now) {
		all = append(all, wire.Next{What: kinds[one.What], At: Stamp(one.At), Sentence: one.Sentence, Action: actions[one.Action]})
	}
	return all
}

func revisions(key *v1alpha1.JWTRefreshKey, now time.Time) []wire.Revision {
	status := &key.Status
	all := []wire.Revision{}
	for _, one := range outlook.Revisions(key, now) {
		revision := wire.Revision{
			Number: one.Number, State: string(one.State), JTI: one.JTI, TokenHash: one.TokenHash,
			CreatedAt: stamp(one.CreatedAt), ExpiresAt: stamp(one.ExpiresAt),
		}
		switch {
		case one.Number == status.LastUsedRevision:
			revision.LastUsed = stamp(status.LastUsed)
		case one.State == outlook.Superseded && len(status.Previous) == 1:
			// Of two, the record does not say which was used.
			revision.LastUsed = stamp(status.SupersededLastUsed)
		}
		all = append(all, revision)
	}
	return all
}

func conditions(all []metav1.Condition) []wire.Condition {
	var shown []wire.Condition
	for _, c := range all {
		shown = append(shown, wire.Condition{Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: Stamp(c.LastTransitionTime.Time)})
	}
	return shown
}

// eventsOf returns events, the newest first.
func eventsOf(events []eventsv1.Event) []wire.Event {
	outlook.SortEvents(events)
	shown := []wire.Event{}
	for i := len(events) - 1; i >= 0; i-- {
		event := &events[i]
		one := wire.Event{At: Stamp(outlook.Happened(event)), Type: event.Type, Reason: event.Reason, Note: event.Note}
		if event.Series != nil {
			one.Count = event.Series.Count
		}
		shown = append(shown, one)
	}
	return shown
}

func facts(key *v1alpha1.JWTRefreshKey) []wire.Fact {
	shown := []wire.Fact{}
	for _, fact := range outlook.Settings(key) {
		if slices.Contains([]string{"Audience", "Issuer", "Subject", "Scopes"}, fact.Name) {
			continue // the row and the detail have them
		}
		shown = append(shown, wire.Fact{Name: fact.Name, Value: fact.Value})
	}
	return shown
}
