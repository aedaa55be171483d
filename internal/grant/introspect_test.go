package grant

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestWithhold checks that a caller without the right to ask gets no information (RFC 7662 §2.2) and that the
// refusal is recorded; any other error is returned.
func TestWithhold(t *testing.T) {
	outcome := &Outcome{}
	answer, err := withhold(oauth.Refuse(oauth.InsufficientScope, "No."), outcome)
	raw, encoding := json.Marshal(answer)
	if err != nil || encoding != nil || string(raw) != `{"active":false}` || outcome.Withheld != oauth.InsufficientScope {
		t.Errorf("%s, %v; recorded %q", raw, err, outcome.Withheld)
	}
	for _, other := range []error{upstream.ErrUnavailable, oauth.Refuse(oauth.InvalidToken, "No."), errors.New("broken")} {
		outcome := &Outcome{}
		if answer, err := withhold(other, outcome); answer != nil || !errors.Is(err, other) || outcome.Withheld != "" {
			t.Errorf("%v becomes %+v, %v; recorded %q", other, answer, err, outcome.Withheld)
		}
	}
}
