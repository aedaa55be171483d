package authority

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

var day0 = time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)

// verify checks a certificate as a client that trusts the bundle.
func verify(t *testing.T, bundle []byte, certificate Pair, name string, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("the bundle holds no certificate")
	}
	block, _ := pem.Decode(certificate.Certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

// TestALifetime runs for thirty years, from NextChange to NextChange: a client that trusts the
// bundle of any time accepts the certificate that is served a year later.
func TestALifetime(t *testing.T) {
	names := []string{"tokens.example.com", "127.0.0.1", "fd00::1"}
	var a Authority
	var served Pair
	now := day0
	oldBundle, oldAt := []byte(nil), now
	certificates, authorities := 0, 0
	for now.Before(day0.AddDate(30, 0, 0)) {
		changed, err := a.Advance(now)
		if err != nil {
			t.Fatal(err)
		}
		if changed {
			authorities++
		}
		if a.Due(served, names, now) {
			if served, err = a.Issue(names, now); err != nil {
				t.Fatal(err)
			}
			certificates++
		}
		if a.Due(served, names, now) {
			t.Fatalf("at %s a certificate just made is due", now)
		}
		for _, name := range names {
			if err := verify(t, a.Bundle(), served, name, now); err != nil {
				t.Fatalf("at %s: %v", now, err)
			}
		}
		if oldBundle == nil || now.Sub(oldAt) > 365*24*time.Hour {
			if oldBundle != nil {
				if err := verify(t, oldBundle, served, names[0], now); err != nil {
					t.Fatalf("at %s a client that last read its bundle at %s fails: %v", now, oldAt, err)
				}
			}
			oldBundle, oldAt = a.Bundle(), now
		}
		next, err := a.NextChange(served)
		if err != nil {
			t.Fatal(err)
		}
		if !next.After(now) {
			t.Fatalf("at %s the next change is at %s", now, next)
		}
		now = next
	}
	if certificates < 100 || authorities < 6 {
		t.Errorf("%d certificates and %d changes of the authority in thirty years", certificates, authorities)
	}
}

func TestDue(t *testing.T) {
	var a, other Authority
	for _, authority := range []*Authority{&a, &other} {
		if _, err := authority.Advance(day0); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"tokens.example.com"}
	served, err := a.Issue(names, day0)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name      string
		authority *Authority
		held      Pair
		names     []string
		after     time.Duration
		want      bool
	}{
		{"good", &a, served, names, 0, false},
		{"none", &a, Pair{}, names, 0, true},
		{"damaged", &a, Pair{Certificate: []byte("x"), Key: served.Key}, names, 0, true},
		{"another key", &a, Pair{Certificate: served.Certificate, Key: a.Current.Key}, names, 0, true},
		{"a new name", &a, served, []string{"tokens.example.com", "more.example.com"}, 0, true},
		{"a name less", &a, served, nil, 0, false},
		{"before two thirds of its life", &a, served, names, 59 * 24 * time.Hour, false},
		{"after two thirds of its life", &a, served, names, 61 * 24 * time.Hour, true},
		{"another authority", &other, served, names, 0, true},
	}
	for _, c := range cases {
		if got := c.authority.Due(c.held, c.names, day0.Add(c.after)); got != c.want {
			t.Errorf("%s: due is %v", c.name, got)
		}
	}
}

// TestIssued checks that the signature distinguishes the authority's certificates from others.
func TestIssued(t *testing.T) {
	var ours, theirs Authority
	for _, a := range []*Authority{&ours, &theirs} {
		if _, err := a.Advance(day0); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"tokens.example.com"}
	of := func(a *Authority) []byte {
		pair, err := a.Issue(names, day0)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Certificate
	}
	mine := of(&ours)
	for _, tt := range []struct {
		name        string
		authority   *Authority
		certificate []byte
		want        bool
	}{
		{"its own", &ours, mine, true},
		{"its own, by the authority that follows", &Authority{Current: theirs.Current, Next: ours.Current}, mine, true},
		{"of others", &ours, of(&theirs), false},
		{"no certificate", &ours, []byte("theirs"), false},
		{"none", &ours, nil, false},
		{"of no authority", &Authority{}, mine, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.authority.Issued(tt.certificate); got != tt.want {
				t.Errorf("that the authority issued it is %v, and should be %v", got, tt.want)
			}
		})
	}
}
