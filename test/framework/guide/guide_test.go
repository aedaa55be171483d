package guide

import (
	"strconv"
	"testing"
)

// TestLasting checks that only the parts that differ from run to run are ignored.
func TestLasting(t *testing.T) {
	same := [][2]string{
		{"orders   Issued  2026-12-23T03:11:07Z   2s\n", "orders Issued 2027-01-01T00:00:00Z     13m\n"},
		{"jti: 0197e9c2-1111-7222-8333-444455556666", "jti: 0197e9c2-1111-7222-8333-444455556667"},
	}
	for _, pair := range same {
		if Lasting(pair[0]) != Lasting(pair[1]) {
			t.Errorf("%q and %q differ", Lasting(pair[0]), Lasting(pair[1]))
		}
	}
	if Lasting("orders Issued") == Lasting("orders Revoked") || Lasting(strconv.Itoa(1)) == Lasting(strconv.Itoa(2)) {
		t.Error("a different text is not detected")
	}
}
