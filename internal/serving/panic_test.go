package serving

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestPanicked checks what the error of a panic says, that it names the place, and which panic goes on.
func TestPanicked(t *testing.T) {
	var missing map[string]int
	for _, c := range []struct {
		name   string
		handle func()
		says   string
		// again is what is thrown again.
		again any
	}{
		{"no panic", func() {}, "", nil},
		{"a fault of the runtime", func() { missing["a"] = 1 }, "panic: assignment to entry in nil map", nil},
		{"an error with a token in it", func() { panic(errors.New("token c4n4ry")) }, "panic: a value of the type *errors.errorString", nil},
		{"an answer that is given up", func() { panic(http.ErrAbortHandler) }, "", http.ErrAbortHandler},
	} {
		var said error
		again := func() (thrown any) {
			defer func() { thrown = recover() }()
			defer func() { said = Panicked(recover()) }()
			c.handle()
			return nil
		}()
		if again != c.again {
			t.Errorf("%s: %v is thrown again", c.name, again)
		}
		if c.says == "" {
			if said != nil {
				t.Errorf("%s: %v", c.name, said)
			}
			continue
		}
		if text := said.Error(); !strings.HasPrefix(text, c.says) || !strings.Contains(text, "panic_test.go") || strings.Contains(text, "c4n4ry") {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}
