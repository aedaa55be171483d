package console

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

// Limits of sessions.
const (
	mostSessions      = 1000
	sessionsPerUser   = 64
	streamsPerSession = 8
	// idBytes is the length of a session's id, before base64url makes 43 characters of it.
	idBytes = 32
)

// sessionKey is the SHA-256 of a session's id: the id itself is in the cookie alone.
type sessionKey [sha256.Size]byte

func keyOf(id string) sessionKey { return sha256.Sum256([]byte(id)) }

// name returns the key as a text.
func (k sessionKey) name() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// session is one sign-in of a person. The fields below ended are guarded by the mutex of sessions.
type session struct {
	key   sessionKey
	began time.Time
	// ended is closed when the session ends.
	ended chan struct{}

	// used is the time of the person's last request.
	used    time.Time
	person  *person
	streams int
}

// sessions are all sessions, in memory only: a restart of the console ends them.
type sessions struct {
	clock         clock.WithTicker
	random        io.Reader
	idle, longest time.Duration

	mu  sync.Mutex
	all map[sessionKey]*session
}

func newSessions(o *Options) *sessions {
	return &sessions{clock: o.Clock, random: o.Random, idle: o.SessionIdle, longest: o.SessionMax, all: map[sessionKey]*session{}}
}

// endOf returns when a session ends: after the idle time, after the longest time, and with a credential that cannot be renewed,
// whichever comes first.
func (s *sessions) endOf(one *session) time.Time {
	end := s.latestOf(one)
	if idle := one.used.Add(s.idle); idle.Before(end) {
		end = idle
	}
	return end
}

// latestOf returns when a session ends that is in use all the time.
func (s *sessions) latestOf(one *session) time.Time {
	end := one.began.Add(s.longest)
	if c := one.person.credential; c.Renew == nil && !c.Until.IsZero() && c.Until.Before(end) {
		end = c.Until
	}
	return end
}

// begin makes a session with a new id. Of a person with too many, the one that was not used for the longest time ends.
func (s *sessions) begin(p *person) (one *session, id string, err error) {
	raw := make([]byte, idBytes)
	if _, err := io.ReadFull(s.random, raw); err != nil {
		return nil, "", fmt.Errorf("make the id of a session: %w", err)
	}
	id = base64.RawURLEncoding.EncodeToString(raw)
	now := s.clock.Now()
	p.session = keyOf(id)
	one = &session{key: p.session, began: now, used: now, person: p, ended: make(chan struct{})}

	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest, count := s.ofUser(p.user); count >= sessionsPerUser {
		s.drop(oldest)
	}
	if len(s.all) >= mostSessions {
		return nil, "", fail(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "there are %d sessions at the console already: try again later", mostSessions)
	}
	s.all[one.key] = one
	go s.watch(one)
	return one, id, nil
}

// ofUser counts the sessions of a user, and returns the one that was not used for the longest time.
func (s *sessions) ofUser(user string) (oldest *session, count int) {
	for _, one := range s.all {
		if one.person.user != user {
			continue
		}
		count++
		if oldest == nil || one.used.Before(oldest.used) {
			oldest = one
		}
	}
	return oldest, count
}

// watch ends a session at its time, so that its credential does not stay in memory and its streams end.
func (s *sessions) watch(one *session) {
	for {
		s.mu.Lock()
		wait := s.endOf(one).Sub(s.clock.Now())
		s.mu.Unlock()
		if wait <= 0 {
			s.end(one)
			dropped(context.Background(), s.personOf(one).credential)
			return
		}
		timer := s.clock.NewTimer(wait)
		select {
		case <-timer.C():
		case <-one.ended:
			timer.Stop()
			dropped(context.Background(), s.personOf(one).credential)
			return
		}
	}
}

// find returns the session of an id; nil if it does not exist or has ended. A request of the person keeps it from becoming idle,
// and opening a stream does not count as a request.
func (s *sessions) find(id string, byPerson bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[keyOf(id)]
	if one == nil {
		return nil
	}
	now := s.clock.Now()
	if !now.Before(s.endOf(one)) {
		s.drop(one)
		return nil
	}
	if byPerson {
		one.used = now
	}
	return one
}

// personOf returns the client of a session.
func (s *sessions) personOf(one *session) *person {
	s.mu.Lock()
	defer s.mu.Unlock()
	return one.person
}

// renewed gives a session the person's next credential.
func (s *sessions) renewed(one *session, p *person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.session = one.key
	one.person = p
}

// until returns when a session ends at the latest.
func (s *sessions) until(one *session) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latestOf(one)
}

// end ends a session.
func (s *sessions) end(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(one)
}

// endKey ends the session of a key, if it has not ended.
func (s *sessions) endKey(key sessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[key]; one != nil {
		s.drop(one)
	}
}

// endNamed ends the session with the key of this name, unless it has ended.
func (s *sessions) endNamed(name string) {
	raw, err := base64.RawURLEncoding.DecodeString(name)
	if err == nil && len(raw) == sha256.Size {
		s.endKey(sessionKey(raw))
	}
}

// drop forgets a session and lets its streams end. The caller holds mu.
func (s *sessions) drop(one *session) {
	if s.all[one.key] == one {
		delete(s.all, one.key)
		close(one.ended)
	}
}

// dropTimeout is how long the provider has to end what a credential comes from.
const dropTimeout = 20 * time.Second

// dropped ends at the provider what a credential comes from, without its browser.
func dropped(ctx context.Context, c *Credential) {
	if c.Drop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	c.Drop(ctx)
}

// open counts a stream of a session.
func (s *sessions) open(one *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.streams >= streamsPerSession {
		return fail(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "the session has %d open streams already: close a tab", streamsPerSession)
	}
	one.streams++
	return nil
}

// closed uncounts a stream.
func (s *sessions) closed(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.streams--
}

// counts returns the numbers of sessions and of streams.
func (s *sessions) counts() (living, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		streams += one.streams
	}
	return len(s.all), streams
}
