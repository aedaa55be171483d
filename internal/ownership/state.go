package ownership

import (
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// Controller is the kind of controller owner of a Secret.
type Controller int

// The kinds of controller owners of a Secret.
const (
	// NoController: no ownerReference has controller: true.
	NoController Controller = iota
	// ThisKey: this refresh key, by name and UID.
	ThisKey
	// EarlierKey: a refresh key of the same name with another UID.
	EarlierKey
	// AnotherController: any other owner.
	AnotherController
)

// Claim is the refresh key that the annotations owner and made-for name.
type Claim int

// The refresh keys that the annotations of a Secret can name.
const (
	// NoClaim: the Secret has neither annotation.
	NoClaim Claim = iota
	// NamesKey: the old form, with this key's name.
	NamesKey
	// NamesThis: namespace, name and UID are this key's.
	NamesThis
	// NamesEarlier: namespace and name are this key's, the UID is another.
	NamesEarlier
	// NamesAnother: another key, another namespace, or no valid key.
	NamesAnother
)

// MadeAs is the relation of the annotation secret-name to the name of the Secret.
type MadeAs int

// The relations of the annotation secret-name to the name of the Secret.
const (
	// NameUnsaid: the Secret has no such annotation.
	NameUnsaid MadeAs = iota
	// MadeHere: the Secret was created with its present name.
	MadeHere
	// MadeElsewhere: it is a copy of a Secret of another name.
	MadeElsewhere
)

// Holds is the refresh key that the unverified token in the Secret names.
type Holds int

// The refresh keys that the token in a Secret can name.
const (
	// HoldsNone: no token, or a text that is not a token.
	HoldsNone Holds = iota
	// HoldsUnread: a text of which only the digest is known.
	HoldsUnread
	// HoldsOwn: the token names this key's namespace and name, with any UID.
	HoldsOwn
	// HoldsNamesakes: the token names a key of the same name in another namespace.
	HoldsNamesakes
	// HoldsAnothers: the token names a key of another name.
	HoldsAnothers
)

// Facts are all facts that the ownership of a Secret depends on.
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
	// TokenOnRecord: the Secret's jti, or its token, is in the line in the refresh key's status, and that
	// line names this refresh key.
	TokenOnRecord bool
	// NameOnRecord: status.secretName is the name of the Secret.
	NameOnRecord bool
	// HasLine: the refresh key has a line that names it.
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
	{"annotation names this key with its UID", func(f *Facts) bool {
		return f.Claim == NamesThis && (f.MadeAs == MadeHere || f.NameOnRecord)
	}, lifecycle.SecretOwn},
	{"token is on record, made under this name", func(f *Facts) bool { return f.TokenOnRecord && f.MadeAs == MadeHere }, lifecycle.SecretOwn},
	{"the operator's label is missing", func(f *Facts) bool { return !f.Labelled }, lifecycle.SecretForeign},
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

// State returns the owner of a Secret, and the name of the rule that decides.
func (f *Facts) State() (state lifecycle.SecretState, rule string) {
	for _, r := range rules {
		if r.holds(f) {
			return r.state, r.name
		}
	}
	panic("ownership: the last rule always decides")
}

// AsksToken reports whether the ownership depends on the token in the Secret, and the token is not known.
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
