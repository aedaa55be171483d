package keyring

import (
	"bytes"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEncodeDecode(t *testing.T) {
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			rings := newTestRings(t, a)
			data, err := Encode(rings)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) != 5 {
				t.Errorf("entries %v", slices.Sorted(maps.Keys(data)))
			}
			again, err := Encode(rings)
			if err != nil || !maps.EqualFunc(data, again, bytes.Equal) {
				t.Errorf("the second encoding differs: %v", err)
			}
			decoded, err := Decode(data)
			if err != nil || !decoded.Equal(rings) {
				t.Fatalf("decoded to %v, %v", decoded, err)
			}
			checkSameKeys(t, rings, decoded)
		})
	}
}

// checkSameKeys goes beyond Equal, to what the keys do.
func checkSameKeys(t *testing.T, a, b *Rings) {
	t.Helper()
	others := b.Keys()
	for i, key := range a.Keys() {
		first, err := key.Sign([]byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := others[i].Sign([]byte("m"))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s signs otherwise after decoding: %v", key, err)
		}
		if !verifiesWithCrypto(t, others[i].Public(), []byte("m"), first) {
			t.Errorf("%s: the public key is another after decoding", key)
		}
	}
}

func TestEncodeMetadata(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	rings, err := Advance(nil, s, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	if rings, err = Advance(rings, s, nil, nil, t0.Add(100*time.Hour), f.generate); err != nil {
		t.Fatal(err)
	}
	data, err := Encode(rings)
	if err != nil {
		t.Fatal(err)
	}
	want := `    {
      "kid": "` + f.kid(3) + `",
      "use": "access",
      "algorithm": "EdDSA",
      "state": "Retiring",
      "createdAt": "2026-01-01T00:00:00Z",
      "activeAt": "2026-01-01T00:00:00Z",
      "retireAt": "2026-01-05T06:00:00Z"
    }`
	if got := string(data["rings.json"]); !strings.Contains(got, want) || !strings.HasPrefix(got, "{\n  \"version\": 1,\n") {
		t.Errorf("rings.json is\n%s\nwithout\n%s", got, want)
	}
	if strings.Contains(string(data["rings.json"]), "PRIVATE") {
		t.Error("rings.json has private keys")
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	rings := newTestRings(t, EdDSA)
	for name, bad := range map[string]*Rings{
		"nil":             nil,
		"no keys":         {},
		"one ring only":   newRings(rings.of(Access)),
		"the key twice":   newRings(append(rings.Keys(), rings.Keys()[0])),
		"a time too late": lateRings(t),
	} {
		if data, err := Encode(bad); data != nil || err == nil || !strings.HasPrefix(err.Error(), "keyring: encode: rings.json ") {
			t.Errorf("%s: %d entries, %v", name, len(data), err)
		}
	}
}

func lateRings(t *testing.T) *Rings {
	t.Helper()
	rings, err := Advance(nil, baseSchedule(), nil, nil, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), (&factory{}).generate)
	if err != nil {
		t.Fatal(err)
	}
	return rings
}

// Whitespace does not make keys worse: people look at Secrets with editors.
func TestDecodeForgivesWhitespace(t *testing.T) {
	s := newStored(t)
	s.replace("rings.json", "\n", "\r\n")
	s.data[s.active+".pem"] = append(s.data[s.active+".pem"], "\n\n"...)
	if _, err := Decode(s.data); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	rings, err := Advance(nil, baseSchedule(), nil, nil, t0, (&factory{}).generate)
	if err != nil {
		f.Fatal(err)
	}
	good, err := Encode(rings)
	if err != nil {
		f.Fatal(err)
	}
	for name, content := range good {
		f.Add(good["rings.json"], name, content)
	}
	ec, err := (&factory{}).generate(ES256)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.ReplaceAll(good["rings.json"], []byte("EdDSA"), []byte("ES256")), rings.Keys()[0].ID+".pem", pemOf(der))
	f.Add([]byte(`{"version":1}`), "x", []byte(nil))
	f.Fuzz(func(t *testing.T, metadata []byte, name string, content []byte) {
		data := maps.Clone(good)
		data["rings.json"] = metadata
		data[name] = content
		decoded, err := Decode(data)
		if err != nil {
			var damaged *DamagedError
			if decoded != nil || !errors.As(err, &damaged) {
				t.Fatalf("%v, %v", decoded, err)
			}
			return
		}
		// What is accepted is complete and sound: it can be stored, read back, used and advanced.
		again, err := Encode(decoded)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil || !back.Equal(decoded) {
			t.Fatalf("%v, %v", back, err)
		}
		checkSameKeys(t, decoded, back)
		if _, err := Advance(decoded, baseSchedule(), nil, nil, t0, Generate); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, a := range algorithms {
		b.Run(string(a), func(b *testing.B) {
			data, err := Encode(newTestRings(b, a))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
