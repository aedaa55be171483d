package grant

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestWithhold: a caller that may not ask learns nothing (RFC 7662 §2.2), and is noted; whatever is not
// that refusal stays an error.
func TestWithhold(t *testing.T) {
	outcome := &Outcome{}
	answer, err := withhold(oauth.Refuse(oauth.InsufficientScope, "No."), outcome)
	raw, encoding := json.Marshal(answer)
	if err != nil || encoding != nil || string(raw) != `{"active":false}` || outcome.Withheld != oauth.InsufficientScope {
		t.Errorf("%s, %v; noted %q", raw, err, outcome.Withheld)
	}
	for _, other := range []error{registry.ErrUnavailable, oauth.Refuse(oauth.InvalidToken, "No."), errors.New("broken")} {
		outcome := &Outcome{}
		if answer, err := withhold(other, outcome); answer != nil || !errors.Is(err, other) || outcome.Withheld != "" {
			t.Errorf("%v becomes %+v, %v; noted %q", other, answer, err, outcome.Withheld)
		}
	}
}
