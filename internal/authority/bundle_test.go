package authority

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

// party returns an authority that was created at a time, and a certificate that it issued.
func party(t *testing.T, at time.Time) (bundle, served, key []byte) {
	t.Helper()
	owner := &Authority{}
	if _, err := owner.Advance(at); err != nil {
		t.Fatal(err)
	}
	pair, err := owner.Issue([]string{"tokens.example.com"}, at)
	if err != nil {
		t.Fatal(err)
	}
	return owner.Bundle(), pair.Certificate, owner.Current.Key
}

func TestJudge(t *testing.T) {
	ours, served, key := party(t, day0)
	other, foreign, _ := party(t, day0)
	expired, old, _ := party(t, day0.AddDate(-11, 0, 0))
	var many []byte
	for len(many) <= MaxBundle {
		another, _, _ := party(t, day0)
		many = append(many, another...)
	}
	noise := []byte(strings.Repeat("0123456789abcdef\n", 200<<10/17))
	join := slices.Concat[[]byte]
	crlf := bytes.ReplaceAll(ours, []byte("\n"), []byte("\r\n"))
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})
	disguised := bytes.ReplaceAll(ours, []byte("CERTIFICATE"), []byte("PRIVATE KEY"))
	withHeaders := bytes.Replace(ours, []byte("-----\n"), []byte("-----\nComment: ours\n\n"), 1)
	for _, c := range []struct {
		name                   string
		provided, served, kept []byte
		want                   []byte
		finding                Finding
		isNew                  bool
	}{
		{"a good one", ours, served, nil, ours, Sound, true},
		{"a good one after another", ours, served, other, ours, Sound, true},
		{"two", join(ours, other), served, nil, join(ours, other), Sound, true},
		{"one twice", join(ours, other, ours), served, nil, join(ours, other), Sound, true},
		{"with comments", join([]byte("# the authority\n"), ours, []byte("\n# end")), served, nil, ours, Sound, true},
		{"with other line breaks", crlf, served, nil, ours, Sound, true},
		{"with headers", withHeaders, served, nil, ours, Sound, true},
		{"one that is good beside one that has expired", join(expired, ours), served, nil, join(expired, ours), Sound, true},
		{"none, and none was ever needed", nil, served, nil, nil, Sound, false},
		{"an empty one, and none was ever needed", []byte{}, served, nil, nil, Sound, false},
		{"an empty one, and clients need it", []byte{}, served, ours, ours, Empty, false},
		{"blanks, and clients need it", []byte(" \n\t"), served, ours, ours, Empty, false},
		{"an empty one, and the certificate is in the bundle", nil, ours, ours, ours, Empty, false},
		{"an empty one, and the certificate has expired", nil, old, expired, expired, Empty, false},
		{"an empty one, and the certificate cannot be read", nil, []byte("theirs"), ours, ours, Empty, false},
		{"an empty one, and the certificate is another party's", nil, foreign, ours, nil, Sound, false},
		{"an empty one, and another's certificate beside it in the chain", nil, join(foreign, served), ours, ours, Empty, false},
		{"nonsense", []byte("their authority"), served, ours, ours, NoCertificate, false},
		{"nonsense for another party's certificate", []byte("their authority"), foreign, ours, ours, NoCertificate, false},
		{"nonsense at the start", []byte("their authority"), served, nil, nil, NoCertificate, false},
		{"a private key and noise", join(key, noise), served, ours, ours, NoCertificate, false},
		{"a private key and noise beside it", join(key, noise, ours, noise), served, other, ours, Mixed, true},
		{"a certificate under another name", disguised, served, ours, ours, NoCertificate, false},
		{"a block that is no certificate", garbage, served, ours, ours, NoCertificate, false},
		{"a block that is no certificate beside one", join(garbage, ours), served, nil, ours, Mixed, true},
		{"half of one", ours[:len(ours)/2], served, ours, ours, NoCertificate, false},
		{"one and half of another", join(ours, other[:len(other)/2]), served, nil, ours, Mixed, true},
		{"half of one and another", join(other[:len(other)/2], []byte("\n"), ours), served, nil, ours, Mixed, true},
		{"expired", expired, served, ours, ours, Expired, false},
		{"expired since it was kept", expired, old, expired, expired, Expired, false},
		{"expired, and none before", expired, served, nil, nil, Expired, false},
		{"too many", many, served, ours, ours, TooLarge, false},
		{"noise alone, of any length", noise, served, ours, ours, NoCertificate, false},
	} {
		got := Judge(c.provided, c.served, c.kept, day0)
		if !bytes.Equal(got.Bundle, c.want) {
			t.Errorf("%s: %d bytes are handed on, and not the %d that should be", c.name, len(got.Bundle), len(c.want))
		}
		if got.Finding != c.finding || got.New != c.isNew {
			t.Errorf("%s: the finding is %d and new %v, and should be %d and %v", c.name, got.Finding, got.New, c.finding, c.isNew)
		}
	}
	got := Judge(many, served, nil, day0)
	if len(got.Bundle) > MaxBundle || len(got.Bundle) < MaxBundle/2 || !bytes.HasPrefix(many, got.Bundle) || got.Finding != TooLarge || !got.New {
		t.Errorf("of too many are handed on %d bytes, with the finding %d", len(got.Bundle), got.Finding)
	}
	if again := Judge(many, served, got.Bundle, day0); !bytes.Equal(again.Bundle, got.Bundle) || again.Finding != got.Finding || again.New != got.New {
		t.Error("the second look at the same bundle finds something else than the first")
	}
}

// FuzzJudge checks that, for any provided bundle, the result contains only certificates, is within the bound, and is stable.
func FuzzJudge(f *testing.F) {
	owner := &Authority{}
	if _, err := owner.Advance(day0); err != nil {
		f.Fatal(err)
	}
	good := owner.Bundle()
	f.Add(good)
	f.Add(append(bytes.Clone(owner.Current.Key), good...))
	f.Add(good[:len(good)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, provided []byte) {
		got := Judge(provided, nil, nil, day0)
		if len(got.Bundle) > MaxBundle || bytes.Contains(got.Bundle, []byte("KEY")) {
			t.Fatal("more than certificates is handed on, or too much of them")
		}
		if !bytes.Equal(encode(readBundle(got.Bundle).certificates), got.Bundle) {
			t.Fatal("what is handed on is read otherwise")
		}
	})
}

// TestBundleHoldsCertificatesAlone checks that clients get only the certificates of the stored bundle, and no other content.
func TestBundleHoldsCertificatesAlone(t *testing.T) {
	owner := &Authority{}
	if _, err := owner.Advance(day0); err != nil {
		t.Fatal(err)
	}
	want := owner.Bundle()
	owner.Current.Certificate = append(bytes.Clone(owner.Current.Certificate), owner.Current.Key...)
	if !bytes.Equal(owner.Bundle(), want) {
		t.Error("the private key stands in the bundle")
	}
}
