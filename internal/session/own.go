package session

import (
	"cmp"
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Owns reports whether a refresh key is a session of the subject at the issuer. The label of a session selects; this
// function decides.
func Owns(issuer *registry.Issuer, subject string, key *v1alpha1.JWTRefreshKey) bool {
	return key.DeletionTimestamp == nil && lifecycle.IssuerName(key) == issuer.Name &&
		lifecycle.ProvenSubject(key, issuer.Login.SessionNamespace) == subject
}

// Own returns the sessions of a subject in a namespace, from the view. They are shared and must not be changed.
func Own(cluster Registry, issuer *registry.Issuer, namespace, subject string) ([]*v1alpha1.JWTRefreshKey, error) {
	known, err := cluster.SessionsKnown(namespace, issuer.Name, subject)
	return owned(issuer, subject, known), err
}

// OwnNow returns the sessions of Own, and those that the view does not have yet, from the API server: no session must
// outlive the end of all sessions because it began a moment before at another replica.
func OwnNow(ctx context.Context, cluster Registry, issuer *registry.Issuer, namespace, subject string) ([]*v1alpha1.JWTRefreshKey, error) {
	all, err := Own(cluster, issuer, namespace, subject)
	if err != nil {
		return nil, err
	}
	listed, err := cluster.SessionsOf(ctx, namespace, sessionOf(issuer.Name, subject))
	if err != nil {
		return nil, err
	}
	for i := range listed {
		known := slices.ContainsFunc(all, func(key *v1alpha1.JWTRefreshKey) bool { return key.UID == listed[i].UID })
		if !known && Owns(issuer, subject, &listed[i]) {
			all = append(all, &listed[i])
		}
	}
	return all, nil
}

func owned(issuer *registry.Issuer, subject string, keys []*v1alpha1.JWTRefreshKey) []*v1alpha1.JWTRefreshKey {
	return slices.DeleteFunc(keys, func(key *v1alpha1.JWTRefreshKey) bool { return !Owns(issuer, subject, key) })
}

// Listed returns sessions as their subject sees them, the last used one first. current is the uid of the session that
// asks.
func Listed(issuer *registry.Issuer, keys []*v1alpha1.JWTRefreshKey, current string, now time.Time) []oauth.Session {
	listed := make([]oauth.Session, 0, len(keys))
	for _, key := range keys {
		one := listedOne(issuer, key, now)
		one.Current = one.ID == current
		listed = append(listed, one)
	}
	slices.SortFunc(listed, func(a, b oauth.Session) int {
		return cmp.Or(lastSeen(&b).Compare(lastSeen(&a)), cmp.Compare(a.ID, b.ID))
	})
	return listed
}

func lastSeen(session *oauth.Session) time.Time {
	if session.LastUsed != nil {
		return *session.LastUsed
	}
	return session.StartedAt
}

func listedOne(issuer *registry.Issuer, key *v1alpha1.JWTRefreshKey, now time.Time) oauth.Session {
	session, seen, meant := key.Status.Session, key.Status.DeviceInfo, key.Spec.DeviceInfo
	if seen == nil {
		seen = &v1alpha1.SeenDevice{}
	}
	if meant == nil {
		meant = &v1alpha1.DeviceInfo{}
	}
	one := oauth.Session{
		ID: string(key.UID), Subject: session.Subject, Method: string(session.Method), Provider: session.Provider, Client: session.Client, Audience: key.Spec.Audience,
		Device:    oauth.SessionDevice{ID: cmp.Or(seen.ID, meant.ID), Browser: cmp.Or(seen.Browser, meant.Browser), OS: cmp.Or(seen.OS, meant.OS)},
		IPAddress: seen.IPAddress, StartedAt: session.StartedAt.UTC(), LastUsed: inUTC(key.Status.LastUsed), ExpiresAt: endOf(issuer, key),
		RevokedAt: inUTC(key.Status.RevokedAt), RevocationReason: string(key.Status.RevocationReason), Status: oauth.SessionActive,
	}
	switch {
	case key.Spec.Revoked || key.Status.RevokedAt != nil:
		one.Status = oauth.SessionRevoked
	case !now.Before(one.ExpiresAt):
		one.Status = oauth.SessionExpired
	}
	return one
}

// endOf returns when a session ends, however much it is used: at its own end, with its token, or when the issuer's
// sessionLifetime is reached.
func endOf(issuer *registry.Issuer, key *v1alpha1.JWTRefreshKey) time.Time {
	end := key.Status.Session.StartedAt.Add(issuer.Login.SessionLifetime)
	for _, other := range [...]*metav1.Time{key.Spec.ExpiresAt, key.Status.ExpiresAt} {
		if other != nil && other.Time.Before(end) {
			end = other.Time
		}
	}
	return end.UTC()
}

func inUTC(at *metav1.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}
