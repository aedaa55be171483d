package ownership

import (
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// Controller says who the controller owner of a Secret is.
type Controller int

// Who the controller owner of a Secret is.
const (
	// NoController: no ownerReference says controller: true.
	NoController Controller = iota
	// ThisKey: the key itself, by name and UID.
	ThisKey
	// EarlierKey: a key of the same name with another UID.
	EarlierKey
	// AnotherController: anything else.
	AnotherController
)

// Claim says which key the annotations owner and made-for name.
type Claim int

// Which key the annotations of a Secret name.
const (
	// NoClaim: there is neither annotation.
	NoClaim Claim = iota
	// NamesKey: the old form, with this key's name.
	NamesKey
	// NamesThis: namespace, name and UID are this key's.
	NamesThis
	// NamesEarlier: namespace and name are this key's, the UID is another.
	NamesEarlier
	// NamesAnother: another key, another namespace, or no key at all.
	NamesAnother
)

// MadeAs says what the annotation secret-name says of the name of the Secret.
type MadeAs int

// What the annotation secret-name says.
const (
	// NameUnsaid: there is no such annotation.
	NameUnsaid MadeAs = iota
	// MadeHere: the Secret was made under the name that it has.
	MadeHere
	// MadeElsewhere: it is a copy of a Secret of another name.
	MadeElsewhere
)

// Holds says which key the refresh token in the Secret names, as the unverified token says.
type Holds int

// Whose refresh token a Secret holds.
const (
	// HoldsNone: no token, or a text that is none.
	HoldsNone Holds = iota
	// HoldsUnread: there is a text, and only its digest is known.
	HoldsUnread
	// HoldsOwn: the token names this key's namespace and name, with any UID.
	HoldsOwn
	// HoldsNamesakes: the token names a key of the same name in another namespace.
	HoldsNamesakes
	// HoldsAnothers: the token names a key of another name.
	HoldsAnothers
)

// Facts is everything that the ownership of a Secret depends on.
type Facts struct {
	Opaque     bool
	Controller Controller
	Labelled   bool
	Claim      Claim
	// Retained: the claim is that of deletionPolicy Retain.
	Retained bool
	MadeAs   MadeAs
	HasJTI   bool
	Holds    Holds
	// TokenOnRecord: the Secret's jti, or the token in it, is one of the line in the key's status, and that
	// line names this very key.
	TokenOnRecord bool
	// NameOnRecord: status.secretName is the name of the Secret.
	NameOnRecord bool
	// HasLine: the key has a line that names this very key.
	HasLine bool
}

// rules are checked in this order; the first that applies decides. ADR 14 explains each.
var rules = []struct {
	name  string
	holds func(*Facts) bool
	state lifecycle.SecretState
}{
	{"type is not Opaque", func(f *Facts) bool { return !f.Opaque }, lifecycle.SecretForeign},
	{"another controller owns it", func(f *Facts) bool { return f.Controller == AnotherController }, lifecycle.SecretForeign},
	{"copy under another name, with its ownerReference", func(f *Facts) bool {
		return f.Controller == ThisKey && f.MadeAs == MadeElsewhere && !f.NameOnRecord
	}, lifecycle.SecretForeign},
	{"this key is its controller", func(f *Facts) bool { return f.Controller == ThisKey }, lifecycle.SecretOwn},
	{"copy with the ownerReference of another key's namespace", func(f *Facts) bool {
		return f.Controller == EarlierKey && (f.Claim == NamesAnother || f.Holds == HoldsNamesakes || f.Holds == HoldsAnothers)
	}, lifecycle.SecretForeign},
	{"an earlier key of the name is its controller", func(f *Facts) bool { return f.Controller == EarlierKey }, lifecycle.SecretLeftOver},
	{"copy under another name", func(f *Facts) bool { return f.MadeAs == MadeElsewhere }, lifecycle.SecretForeign},
	{"token and name are on record", func(f *Facts) bool { return f.TokenOnRecord && f.NameOnRecord }, lifecycle.SecretOwn},
	{"annotation names another key", func(f *Facts) bool { return f.Claim == NamesAnother }, lifecycle.SecretForeign},
	{"annotation names this very key", func(f *Facts) bool {
		return f.Claim == NamesThis && (f.MadeAs == MadeHere || f.NameOnRecord)
	}, lifecycle.SecretOwn},
	{"token is on record, made under this name", func(f *Facts) bool { return f.TokenOnRecord && f.MadeAs == MadeHere }, lifecycle.SecretOwn},
	{"our label is missing", func(f *Facts) bool { return !f.Labelled }, lifecycle.SecretForeign},
	{"copy from another namespace", func(f *Facts) bool { return f.Holds == HoldsNamesakes }, lifecycle.SecretForeign},
	{"retained for a key of the name, old annotation", func(f *Facts) bool { return f.Claim == NamesKey }, lifecycle.SecretOwn},
	{"retained by an earlier key of the name", func(f *Facts) bool {
		return f.Claim == NamesEarlier && f.Retained && f.MadeAs == MadeHere
	}, lifecycle.SecretOwn},
	{"token names another key", func(f *Facts) bool { return f.Holds == HoldsAnothers }, lifecycle.SecretForeign},
	{"made for an earlier key of the name", func(f *Facts) bool { return f.Claim == NamesEarlier && f.MadeAs == MadeHere }, lifecycle.SecretLeftOver},
	{"made under this name for a key that is not recorded", func(f *Facts) bool {
		return f.Claim == NoClaim && f.MadeAs == MadeHere && f.HasJTI && (!f.HasLine || f.NameOnRecord)
	}, lifecycle.SecretLeftOver},
	{"nothing says that it is this key's", func(*Facts) bool { return true }, lifecycle.SecretForeign},
}

// State says whose a Secret is, and the name of the rule that decides.
func (f *Facts) State() (state lifecycle.SecretState, rule string) {
	for _, r := range rules {
		if r.holds(f) {
			return r.state, r.name
		}
	}
	panic("ownership: the last rule always decides")
}

// AsksToken tells whether the ownership depends on the token in the Secret, and the token is not known.
func (f *Facts) AsksToken() bool {
	if f.Holds != HoldsUnread {
		return false
	}
	as, _ := f.State()
	for _, holds := range []Holds{HoldsNamesakes, HoldsAnothers} {
		another := *f
		another.Holds = holds
		if would, _ := another.State(); would != as {
			return true
		}
	}
	return false
}
