package identity

import "testing"

// TestBearer checks that Bearer accepts the scheme, one space and one token, and nothing else.
func TestBearer(t *testing.T) {
	for _, c := range []struct {
		header, token string
		asked         bool
	}{
		{"", "", false},
		{"Bearer", "", true},
		{"Bearer ", "", true},
		{"Bearer x", "x", true},
		{"bearer x", "x", true},
		{"BEARER a.b-c_d~e+f/g==", "a.b-c_d~e+f/g==", true},
		{"Bearer  x", "", true},
		{"Bearer x ", "", true},
		{"Bearer x y", "", true},
		{"Bearer x,y", "", true},
		{"Bearer\tx", "", false},
		{"Bearer \tx", "", true},
		{" Bearer x", "", false},
		{"Bearer x=y", "", true},
		{"Bearer =", "", true},
		{"Bearer t\u00f6ken", "", true},
		{"Bearerx", "", false},
		{"Basic eDo=", "", false},
		{"DPoP x", "", false},
	} {
		if token, asked := Bearer(c.header); token != c.token || asked != c.asked {
			t.Errorf("%q: %q, %v; want %q, %v", c.header, token, asked, c.token, c.asked)
		}
	}
}

// TestDPoP checks that DPoP reads its own scheme as Bearer does, and no other.
func TestDPoP(t *testing.T) {
	for _, c := range []struct {
		header, token string
		asked         bool
	}{
		{"DPoP x", "x", true}, {"dpop x", "x", true}, {"DPoP", "", true}, {"DPoP  x", "", true}, {"DPoP x y", "", true}, {"Bearer x", "", false}, {"", "", false},
	} {
		if token, asked := DPoP(c.header); token != c.token || asked != c.asked {
			t.Errorf("%q: %q, %v; want %q, %v", c.header, token, asked, c.token, c.asked)
		}
	}
}
