package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

var _ console.OwnSessions = (*session)(nil)

// listed is the answer of the token service with the sessions of a person.
type listed struct {
	Sessions []struct {
		ID        string     `json:"id"`
		Current   bool       `json:"current"`
		Status    string     `json:"status"`
		Client    string     `json:"client"`
		Method    string     `json:"method"`
		Provider  string     `json:"provider"`
		Audience  string     `json:"audience"`
		Device    device     `json:"device"`
		IPAddress string     `json:"ipAddress"`
		StartedAt time.Time  `json:"startedAt"`
		LastUsed  *time.Time `json:"lastUsed"`
		ExpiresAt *time.Time `json:"expiresAt"`
		RevokedAt *time.Time `json:"revokedAt"`
		Reason    string     `json:"revocationReason"`
	} `json:"sessions"`
}

type device struct {
	ID      string `json:"id"`
	Browser string `json:"browser"`
	OS      string `json:"os"`
}

// List implements console.OwnSessions.
func (s *session) List(ctx context.Context) (*wire.Mine, error) {
	var got listed
	if err := s.ask(ctx, http.MethodGet, "/sessions", nil, &got); err != nil {
		return nil, err
	}
	mine := &wire.Mine{Sessions: []wire.OwnSession{}}
	for i := range got.Sessions {
		one := &got.Sessions[i]
		mine.Sessions = append(mine.Sessions, wire.OwnSession{
			ID: one.ID, Current: one.Current, Status: one.Status, Audience: one.Audience, Client: one.Client, Method: one.Method, Provider: one.Provider,
			Device:    &wire.Device{ID: one.Device.ID, Browser: one.Device.Browser, OS: one.Device.OS, Address: one.IPAddress},
			StartedAt: inWords(&one.StartedAt), LastUsed: inWords(one.LastUsed), ExpiresAt: inWords(one.ExpiresAt),
			RevokedAt: inWords(one.RevokedAt), RevocationReason: one.Reason,
		})
	}
	return mine, nil
}

// EndSessions implements console.OwnSessions.
func (s *session) EndSessions(ctx context.Context, which *wire.EndSessions) (*wire.Ended, error) {
	ended := &wire.Ended{}
	return ended, s.ask(ctx, http.MethodPost, "/sessions/end", which, ended)
}

func inWords(at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// explained returns the answer to a request for the person's own sessions that failed, with the status of the token service or 0.
func explained(err error, code int) error {
	var final *refusal
	switch {
	case code == http.StatusUnauthorized, errors.Is(err, errEnded), errors.As(err, &final) && final.code == "invalid_grant":
		return apierrors.NewUnauthorized("the session at the token service has ended: sign in")
	case final != nil:
		return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("the token service gives no access to the sessions of this person: "+final.Error()))
	case code == http.StatusTooManyRequests:
		return apierrors.NewTooManyRequests("the token service accepts no more requests of this person now", 1)
	case code == http.StatusNotFound:
		return apierrors.NewGenericServerResponse(http.StatusNotImplemented, "", schema.GroupResource{}, "", "the token service is older than the console, and cannot list sessions", 0, false)
	default:
		return apierrors.NewServiceUnavailable("the token service cannot be reached now")
	}
}

// newForm returns a request with a form.
func newForm(ctx context.Context, at string, form url.Values) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}
