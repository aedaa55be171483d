package keyring_test

import (
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Advance makes the signing keys of a new issuer, and rotates them when it is called again later. The pending key is
// published and does not sign yet. A key that has signed stays for AccessKeep, so that its access tokens are verified.
func ExampleAdvance() {
	schedule := keyring.Schedule{
		Algorithm: keyring.ES256, RotateAfter: 720 * time.Hour, Prepublish: time.Hour, RefreshKeep: 2160 * time.Hour, AccessKeep: 2 * time.Hour,
	}
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var rings *keyring.Rings
	for _, passed := range []time.Duration{0, time.Hour, 720 * time.Hour, 723 * time.Hour} {
		var err error
		if rings, err = keyring.Advance(rings, schedule, nil, nil, start.Add(passed), keyring.Generate); err != nil {
			fmt.Println(err)
			return
		}
		states := map[keyring.State]int{}
		for _, key := range rings.Keys() {
			if key.Use == keyring.Access {
				states[key.State]++
			}
		}
		fmt.Println("after", passed, states)
	}
	// Output:
	// after 0s map[Active:1 Pending:1]
	// after 1h0m0s map[Active:1 Pending:1]
	// after 720h0m0s map[Active:1 Pending:1 Retiring:1]
	// after 723h0m0s map[Active:1 Pending:1]
}
