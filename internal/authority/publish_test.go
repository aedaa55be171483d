package authority

import "testing"

// TestStep is the table of ADR 27.
func TestStep(t *testing.T) {
	bundle := []byte("certificates")
	held := PublishedDigest(bundle)
	for _, c := range []struct {
		name   string
		found  Published
		bundle []byte
		want   PublishStep
	}{
		{"missing", Published{}, bundle, CreatePublished},
		{"as it must be", Published{Found: true, Own: true, Digest: held}, bundle, KeepPublished},
		{"of an earlier authority", Published{Found: true, Own: true, Digest: "earlier"}, bundle, UpdatePublished},
		{"emptied", Published{Found: true, Own: true}, bundle, UpdatePublished},
		{"with a further entry", Published{Found: true, Own: true, Digest: held, More: true}, bundle, UpdatePublished},
		{"foreign", Published{Found: true, Digest: "theirs"}, bundle, ForeignPublished},
		{"foreign, with the same content", Published{Found: true, Digest: held}, bundle, ForeignPublished},
		{"publicly trusted: missing", Published{}, nil, KeepPublished},
		{"publicly trusted: left by an earlier authority", Published{Found: true, Own: true, Digest: held}, nil, RemovePublished},
		{"publicly trusted: foreign", Published{Found: true, Digest: held}, nil, ForeignPublished},
	} {
		if got := c.found.Step(c.bundle); got != c.want {
			t.Errorf("%s: step %d, want %d", c.name, got, c.want)
		}
	}
}
