package cel

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// TestCases checks that the API server accepts each valid manifest of this folder, each sample and each example of the API reference, and
// refuses each invalid one with the messages that the manifest expects and with no other.
func TestCases(t *testing.T) {
	f := newFixture(t)
	shown := slices.Concat(readManifests(t, "../../config/samples/*.yaml"), readManifests(t, "../../hack/docs/examples/*.yaml"))
	for _, m := range slices.Concat(readManifests(t, valid), shown, generatedAcceptances()) {
		t.Run(m.name, func(t *testing.T) {
			if err := m.submit(f.in(t)); err != nil {
				t.Errorf("refused, but must be accepted: %v", err)
			}
		})
	}
	all := rules(t)
	for _, m := range slices.Concat(readManifests(t, invalid), generatedRefusals()) {
		t.Run(m.name, func(t *testing.T) { m.refused(f.in(t), all) })
	}
}

// refused submits an invalid manifest.
func (m manifest) refused(f *fixture, all []rule) {
	t := f.T
	t.Helper()
	if len(m.expect) == 0 {
		t.Fatal("the manifest has no line `# expect: <field>: <message>`")
	}
	err := m.submit(f)
	if err == nil {
		t.Fatalf("accepted, but must be refused with: %q", m.expect)
	}
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("refused as %s, which is neither Invalid nor Forbidden", apierrors.ReasonForError(err))
	}
	if got := messages(err); !slices.EqualFunc(got, m.expect, matches) {
		t.Errorf("refused with\n# expect: %s\ninstead of\n# expect: %s", strings.Join(got, "\n# expect: "), strings.Join(m.expect, "\n# expect: "))
	}
	explained := slices.ContainsFunc(all, func(r rule) bool { return slices.ContainsFunc(m.expect, r.saidIn) })
	if m.subresource == "" && slices.ContainsFunc(m.expect, bare.MatchString) && !explained {
		t.Errorf("a user reads a bare regular expression: %q", m.expect)
	}
}

// bare matches what the API server says of a pattern or a format.
var bare = regexp.MustCompile(`in body (should match|must be of type date-time)`)

// now stands in an expected message for the time of the API server.
const now = "<now>"

// matches reports whether a message is the expected one.
func matches(message, expected string) bool {
	before, after, timed := strings.Cut(expected, now)
	if !timed {
		return message == expected
	}
	said, found := strings.CutPrefix(message, before)
	said, ends := strings.CutSuffix(said, after)
	_, err := time.Parse(time.RFC3339, said)
	return found && ends && err == nil
}

// messages returns what the API server says in a refusal, sorted: `<field>: <message>` for each broken rule, without
// the value, which is in the manifest.
func messages(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return []string{err.Error()}
	}
	var all []string
	for _, cause := range status.Status().Details.Causes {
		if strings.HasSuffix(cause.Message, unchecked) {
			continue
		}
		all = append(all, message(cause))
	}
	slices.Sort(all)
	return all
}

// unchecked is the API server's note that it evaluates no rules of an object with another fault.
const unchecked = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

func message(cause metav1.StatusCause) string {
	if said, ofPolicy := strings.CutPrefix(cause.Message, deniedByPolicy); ofPolicy {
		return said
	}
	text := view.WithoutValue(cause.Message)
	if cause.Field == "<nil>" || strings.HasPrefix(text, cause.Field+" ") {
		return text // of the whole object, or it names the field itself
	}
	return cause.Field + ": " + text
}

const deniedByPolicy = "ValidatingAdmissionPolicy '" + apiserver.PolicyName + "' with binding '" + apiserver.PolicyName + "' denied request: "
