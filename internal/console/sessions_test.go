package console

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

func sessionsOf(random interface{ Read([]byte) (int, error) }) *sessions {
	return newSessions(&Options{Clock: clock.RealClock{}, Random: random, SessionIdle: 30 * time.Minute, SessionMax: 12 * time.Hour})
}

// TestWhenASessionEnds checks when a session ends that is used every so often, and that its credential is not kept after.
func TestWhenASessionEnds(t *testing.T) {
	hour := time.Hour
	for _, c := range []struct {
		name string
		// every is how often the person sends a request; zero for never.
		every time.Duration
		// streams is how often a page opens its stream.
		streams    time.Duration
		credential func(now time.Time) Credential
		want       time.Duration
	}{
		{"idle", 0, 0, nil, 30 * time.Minute},
		{"idle, with a stream", 0, time.Minute, nil, 30 * time.Minute},
		{"idle for a little less, again and again", 29 * time.Minute, 0, nil, 12 * hour},
		{"idle for the idle time", 30 * time.Minute, 0, nil, 30 * time.Minute},
		{"in use, with a credential of an hour", time.Minute, 0, func(now time.Time) Credential { return Credential{Until: now.Add(hour)} }, hour},
		{"in use, with a credential of a day", time.Minute, 0, func(now time.Time) Credential { return Credential{Until: now.Add(24 * hour)} }, 12 * hour},
		{"in use, with a credential of an hour that is renewed", time.Minute, 0, func(now time.Time) Credential {
			return Credential{Until: now.Add(hour), Renew: func(context.Context) (*Credential, error) { return nil, errors.New("not in this test") }}
		}, 12 * hour},
		{"idle, with a credential that is renewed", 0, 0, func(now time.Time) Credential {
			return Credential{Until: now.Add(hour), Renew: func(context.Context) (*Credential, error) { return nil, errors.New("not in this test") }}
		}, 30 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sessionsOf(rand.Reader)
				began := time.Now()
				credential := Credential{}
				if c.credential != nil {
					credential = c.credential(began)
				}
				one, id, err := s.begin(&person{user: "ada", credential: &credential})
				if err != nil {
					t.Fatal(err)
				}
				stop := make(chan struct{})
				defer close(stop)
				use := func(every time.Duration, byPerson bool) {
					for every > 0 {
						select {
						case <-stop:
							return
						case <-time.After(every):
							s.find(id, byPerson)
						}
					}
				}
				go use(c.every, true)
				go use(c.streams, false)
				<-one.ended
				if got := time.Since(began); got != c.want {
					t.Errorf("the session ends after %s, want %s", got, c.want)
				}
				if s.find(id, true) != nil {
					t.Error("the session is found after its end")
				}
				if living, _ := s.counts(); living != 0 {
					t.Errorf("%d sessions are kept", living)
				}
			})
		})
	}
}

// TestTheEndIsExact checks that a session is not found at its end, also before its timer ran.
func TestTheEndIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessionsOf(rand.Reader)
		one, id, err := s.begin(&person{credential: &Credential{Until: time.Now().Add(time.Minute)}})
		if err != nil {
			t.Fatal(err)
		}
		if s.find(id, true) != one {
			t.Error("the session is not found before its end")
		}
		one.began = one.began.Add(-24 * time.Hour)
		if s.find(id, true) != nil {
			t.Error("the session is found after its end")
		}
		<-one.ended
	})
}

// TestIDs checks that an id has 256 bits of the source, and that the id itself is kept nowhere.
func TestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessionsOf(strings.NewReader(strings.Repeat("a", 32) + strings.Repeat("b", 31)))
		one, id, err := s.begin(&person{credential: &Credential{}})
		if err != nil {
			t.Fatal(err)
		}
		if want := "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"; id != want || len(id) != 43 {
			t.Errorf("the id is %q, want %q", id, want)
		}
		if one.key != keyOf(id) || strings.Contains(string(one.key[:]), "aaaa") {
			t.Error("the session is not kept by the hash of its id")
		}
		if _, _, err := s.begin(&person{credential: &Credential{}}); err == nil {
			t.Error("a session begins with an id of a source that failed")
		}
		s.end(one)
	})
}

// TestHowManySessions checks the limits: a person's oldest session ends, and beyond all sessions there is no more.
func TestHowManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessionsOf(rand.Reader)
		begin := func(user string) (*session, error) {
			one, _, err := s.begin(&person{user: user, credential: &Credential{}})
			return one, err
		}
		var first, second *session
		for i := range sessionsPerUser {
			one, err := begin("ada")
			if err != nil {
				t.Fatal(err)
			}
			switch i {
			case 0:
				first = one
			case 1:
				second = one
			}
			time.Sleep(time.Second)
		}
		s.mu.Lock()
		first.used = time.Now()
		s.mu.Unlock()
		if _, err := begin("ada"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-second.ended:
		default:
			t.Error("the session that was not used for the longest time goes on")
		}
		if living, _ := s.counts(); living != sessionsPerUser {
			t.Errorf("a person has %d sessions, want %d", living, sessionsPerUser)
		}
		for i := sessionsPerUser; i < mostSessions; i++ {
			if _, err := begin(strings.Repeat("u", i)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := begin("eve")
		if got := failureOf(err); got.Code != 503 || !strings.Contains(got.Message, "1000 sessions") {
			t.Errorf("one session more: %+v", got)
		}
		s.mu.Lock()
		for _, one := range s.all {
			s.drop(one)
		}
		s.mu.Unlock()
	})
}

// TestHowManyStreams checks the limit of streams of a session.
func TestHowManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessionsOf(rand.Reader)
		one, _, err := s.begin(&person{credential: &Credential{}})
		if err != nil {
			t.Fatal(err)
		}
		for range streamsPerSession {
			if err := s.open(one); err != nil {
				t.Fatal(err)
			}
		}
		if got := failureOf(s.open(one)); got.Code != 429 {
			t.Errorf("one stream more: %+v", got)
		}
		s.closed(one)
		if err := s.open(one); err != nil {
			t.Errorf("after the end of a stream: %v", err)
		}
		if living, streams := s.counts(); living != 1 || streams != streamsPerSession {
			t.Errorf("%d sessions with %d streams", living, streams)
		}
		s.end(one)
	})
}
