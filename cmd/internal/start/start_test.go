package start

import "testing"

func TestCheckNamespaces(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		good  bool
	}{
		{"none, which is all", nil, true},
		{"some", []string{"shop", "team-1"}, true},
		{"an empty one, which would be all", []string{"shop", ""}, false},
		{"a blank", []string{"shop", " billing"}, false},
		{"a pattern", []string{"team-*"}, false},
		{"in capitals", []string{"Shop"}, false},
	} {
		if err := CheckNamespaces(c.names); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
