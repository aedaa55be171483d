package ownership

import (
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// whole is an unchanged Secret that the operator created for the refresh key (deletionPolicy Delete).
func whole() Facts {
	return Facts{
		Opaque: true, Controller: ThisKey, Labelled: true, Claim: NamesThis, MadeAs: MadeHere, HasJTI: true,
		Holds: HoldsOwn, TokenOnRecord: true, NameOnRecord: true, HasLine: true,
	}
}

// stateCases have one row for each rule, and hostile neighbours.
var stateCases = []struct {
	name   string
	change func(*Facts)
	want   lifecycle.SecretState
	rule   string
}{
	{"untouched", func(*Facts) {}, lifecycle.SecretOwn, "this key is its controller"},
	{"wrong type", func(f *Facts) { f.Opaque = false }, lifecycle.SecretForeign, "type is not Opaque"},
	{"controller of another kind", func(f *Facts) { f.Controller = AnotherController }, lifecycle.SecretForeign, "another controller owns it"},
	{"edited: all but the ownerReference is gone", func(f *Facts) { *f = Facts{Opaque: true, Controller: ThisKey} }, lifecycle.SecretOwn, "this key is its controller"},
	{"copy under another name, whole", func(f *Facts) { f.MadeAs, f.NameOnRecord = MadeElsewhere, false }, lifecycle.SecretForeign,
		"copy under another name, with its ownerReference"},
	{"secret-name is written over", func(f *Facts) { f.MadeAs = MadeElsewhere }, lifecycle.SecretOwn, "this key is its controller"},
	{"key made again, garbage collector not there yet", func(f *Facts) { f.Controller = EarlierKey; earlier(f) }, lifecycle.SecretLeftOver,
		"an earlier key of the name is its controller"},
	{"copy from another namespace, with the ownerReference", func(f *Facts) { f.Controller = EarlierKey; elsewhere(f) }, lifecycle.SecretForeign,
		"copy with the ownerReference of another key's namespace"},
	{"copy from another namespace, with the ownerReference, unmarked", func(f *Facts) { f.Controller = EarlierKey; elsewhere(f); f.Claim = NoClaim }, lifecycle.SecretForeign,
		"copy with the ownerReference of another key's namespace"},

	{"ownerReference lost", func(f *Facts) { f.Controller = NoController }, lifecycle.SecretOwn, "token and name are on record"},
	{"ownerReference and label lost", func(f *Facts) { f.Controller, f.Labelled = NoController, false }, lifecycle.SecretOwn, "token and name are on record"},
	{"nothing but token and name", func(f *Facts) {
		*f = Facts{Opaque: true, Holds: HoldsOwn, TokenOnRecord: true, NameOnRecord: true, HasLine: true}
	}, lifecycle.SecretOwn, "token and name are on record"},
	{"ownerReference lost, owner annotation written over", func(f *Facts) { f.Controller, f.Claim = NoController, NamesAnother }, lifecycle.SecretOwn, "token and name are on record"},
	{"ownerReference and token lost", func(f *Facts) { f.Controller = NoController; unrecorded(f) }, lifecycle.SecretOwn, "annotation names this key with its UID"},
	{"ownerReference lost under an earlier name", func(f *Facts) { f.Controller, f.Claim, f.NameOnRecord = NoController, NoClaim, false }, lifecycle.SecretOwn,
		"token is on record, made under this name"},
	{"copy under another name, without ownerReference", func(f *Facts) { f.Controller, f.MadeAs, f.NameOnRecord = NoController, MadeElsewhere, false }, lifecycle.SecretForeign,
		"copy under another name"},
	{"the token alone in a Secret of another name", func(f *Facts) {
		*f = Facts{Opaque: true, Holds: HoldsOwn, TokenOnRecord: true, HasLine: true}
	}, lifecycle.SecretForeign, "the operator's label is missing"},
	{"jti forged to another key's", func(f *Facts) {
		*f = Facts{Opaque: true, HasJTI: true, NameOnRecord: true, HasLine: true}
	}, lifecycle.SecretForeign, "the operator's label is missing"},
	{"label forged", func(f *Facts) { *f = Facts{Opaque: true, Labelled: true} }, lifecycle.SecretForeign, "nothing says that it is this key's"},

	{"copy from another namespace, Retain", func(f *Facts) { f.Controller = NoController; elsewhere(f); f.Retained = true }, lifecycle.SecretForeign, "annotation names another key"},
	{"copy from another namespace, Retain, old annotation", func(f *Facts) {
		f.Controller = NoController
		elsewhere(f)
		f.Claim, f.Retained = NamesKey, true
	}, lifecycle.SecretForeign, "copy from another namespace"},
	{"copy from another namespace", func(f *Facts) { f.Controller = NoController; elsewhere(f) }, lifecycle.SecretForeign, "annotation names another key"},
	{"copy from another namespace, of an earlier version", func(f *Facts) { f.Controller = NoController; elsewhere(f); f.Claim = NoClaim }, lifecycle.SecretForeign, "copy from another namespace"},
	{"copy from another namespace, without a token", func(f *Facts) { f.Controller = NoController; elsewhere(f); f.Holds = HoldsNone }, lifecycle.SecretForeign, "annotation names another key"},

	{"retained, of this key with its UID", func(f *Facts) { f.Controller, f.Retained = NoController, true; unrecorded(f) }, lifecycle.SecretOwn, "annotation names this key with its UID"},
	{"retained, of an earlier key", func(f *Facts) { f.Controller = NoController; earlier(f); f.Retained = true }, lifecycle.SecretOwn, "retained by an earlier key of the name"},
	{"retained, old annotation", func(f *Facts) {
		f.Controller = NoController
		earlier(f)
		f.Claim, f.Retained = NamesKey, true
	}, lifecycle.SecretOwn, "retained for a key of the name, old annotation"},
	{"retained, old annotation, with a token of another key put into it", func(f *Facts) {
		f.Controller = NoController
		earlier(f)
		f.Claim, f.Retained, f.Holds = NamesKey, true, HoldsAnothers
	}, lifecycle.SecretOwn, "retained for a key of the name, old annotation"},
	{"left over of another key of the namespace", func(f *Facts) {
		f.Controller = NoController
		earlier(f)
		f.Claim, f.Holds = NoClaim, HoldsAnothers
	}, lifecycle.SecretForeign, "token names another key"},
	{"retained, old annotation, without the operator's label", func(f *Facts) {
		f.Controller = NoController
		earlier(f)
		f.Claim, f.Retained, f.Labelled = NamesKey, true, false
	}, lifecycle.SecretForeign, "the operator's label is missing"},

	{"left over: orphaned, or restored without owner", func(f *Facts) { f.Controller = NoController; earlier(f) }, lifecycle.SecretLeftOver, "made for an earlier key of the name"},
	{"left over, of an earlier version", func(f *Facts) { f.Controller = NoController; earlier(f); f.Claim = NoClaim }, lifecycle.SecretLeftOver,
		"made under this name for a key that is not recorded"},
	{"left over, of an earlier version, without a jti", func(f *Facts) { f.Controller = NoController; earlier(f); f.Claim, f.HasJTI = NoClaim, false }, lifecycle.SecretForeign,
		"nothing says that it is this key's"},
	{"left over, of an earlier version, of a key with a line that was never in it", func(f *Facts) {
		f.Controller = NoController
		earlier(f)
		f.Claim, f.HasLine = NoClaim, true
	}, lifecycle.SecretForeign, "nothing says that it is this key's"},
	{"restored from an old backup under a living key, of an earlier version", func(f *Facts) { f.Controller = NoController; unrecorded(f); f.Claim = NoClaim }, lifecycle.SecretLeftOver,
		"made under this name for a key that is not recorded"},
	{"status restored with a new UID", func(f *Facts) { f.Controller = NoController; earlier(f); f.NameOnRecord = true }, lifecycle.SecretLeftOver,
		"made for an earlier key of the name"},
}

// earlier is a Secret that was made for an earlier key of the same name.
func earlier(f *Facts) {
	f.Claim = NamesEarlier
	f.TokenOnRecord, f.NameOnRecord, f.HasLine = false, false, false
}

// elsewhere is a Secret that was made for a key of another namespace.
func elsewhere(f *Facts) {
	earlier(f)
	f.Claim, f.Holds = NamesAnother, HoldsNamesakes
}

// unrecorded is a Secret with a token and a jti that no status contains.
func unrecorded(f *Facts) { f.TokenOnRecord = false }

func TestWhoseASecretIs(t *testing.T) {
	decided := map[string]bool{}
	for _, tt := range stateCases {
		t.Run(tt.name, func(t *testing.T) {
			facts := whole()
			tt.change(&facts)
			state, rule := facts.State()
			decided[rule] = true
			if state != tt.want || rule != tt.rule {
				t.Errorf("state %d by the rule %q, want %d by %q", state, rule, tt.want, tt.rule)
			}
		})
	}
	for _, rule := range rules {
		if !decided[rule.name] {
			t.Errorf("no case shows the rule %q", rule.name)
		}
	}
}

// TestEveryCombinationOfFacts checks invariants for all combinations of facts.
func TestEveryCombinationOfFacts(t *testing.T) {
	combinations := 0
	everyCombination(func(f Facts) {
		combinations++
		state, rule := f.State()
		touched := state != lifecycle.SecretForeign
		named := f.Claim == NamesThis || f.Claim == NamesKey || f.Claim == NamesEarlier
		switch {
		case touched && !f.Opaque:
			t.Errorf("%+v: a Secret of another type is touched by %q", f, rule)
		case touched && f.Controller == AnotherController:
			t.Errorf("%+v: a Secret of another controller is touched by %q", f, rule)
		case touched && f.Controller == NoController && f.MadeAs == MadeElsewhere:
			t.Errorf("%+v: a copy under another name is touched by %q", f, rule)
		case touched && f.Controller == NoController && f.Claim == NamesAnother && (!f.TokenOnRecord || !f.NameOnRecord):
			t.Errorf("%+v: a Secret that names another key is touched by %q", f, rule)
		case touched && f.Controller == NoController && !f.TokenOnRecord && f.Claim != NamesThis && (!f.Labelled || f.Holds == HoldsNamesakes || (f.Holds == HoldsAnothers && !named)):
			t.Errorf("%+v: one mark alone is enough for %q", f, rule)
		case touched && f.Controller == NoController && !f.TokenOnRecord && !named && (!f.HasJTI || f.MadeAs != MadeHere):
			t.Errorf("%+v: one mark alone is enough for %q", f, rule)
		case state == lifecycle.SecretForeign && f.Opaque && f.Controller == NoController && f.TokenOnRecord && f.NameOnRecord && f.MadeAs != MadeElsewhere:
			t.Errorf("%+v: a Secret with token and name on record is not the key's, by %q", f, rule)
		}
	})
	if combinations < 10_000 {
		t.Errorf("%d combinations only", combinations)
	}
}

// TestTheTokenIsReadOnlyWhereItMatters checks that the unchanged Secret of a refresh key needs no read of its token.
func TestTheTokenIsReadOnlyWhereItMatters(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Facts)
		want   bool
	}{
		"untouched":              {func(*Facts) {}, false},
		"ownerReference lost":    {func(f *Facts) { f.Controller = NoController }, false},
		"retained":               {func(f *Facts) { f.Controller, f.Retained = NoController, true; unrecorded(f) }, false},
		"of another controller":  {func(f *Facts) { f.Controller = AnotherController }, false},
		"left over":              {func(f *Facts) { f.Controller = NoController; earlier(f); f.Claim = NoClaim }, true},
		"retained in old form":   {func(f *Facts) { f.Controller = NoController; earlier(f); f.Claim, f.Retained = NamesKey, true }, true},
		"left over with a mark":  {func(f *Facts) { f.Controller = NoController; earlier(f) }, true},
		"with a dead controller": {func(f *Facts) { f.Controller = EarlierKey; earlier(f) }, true},
	} {
		facts := whole()
		test.change(&facts)
		facts.Holds = HoldsUnread
		if got := facts.AsksToken(); got != test.want {
			t.Errorf("%s: the token is read: %t, want %t", name, got, test.want)
		}
	}
}

func everyCombination(do func(Facts)) {
	for bits := range 1 << 7 {
		is := func(n int) bool { return bits&(1<<n) != 0 }
		for controller := NoController; controller <= AnotherController; controller++ {
			for claim := NoClaim; claim <= NamesAnother; claim++ {
				for made := NameUnsaid; made <= MadeElsewhere; made++ {
					for holds := HoldsNone; holds <= HoldsAnothers; holds++ {
						do(Facts{
							Opaque: is(0), Labelled: is(1), Retained: is(2), HasJTI: is(3), TokenOnRecord: is(4), NameOnRecord: is(5), HasLine: is(6),
							Controller: controller, Claim: claim, MadeAs: made, Holds: holds,
						})
					}
				}
			}
		}
	}
}
