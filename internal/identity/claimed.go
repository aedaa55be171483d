package identity

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ClaimedAudiences are `aud` of a JWT that is not verified: whom it is for, as far as it says so. They may choose who is
// asked about it, and decide nothing.
func ClaimedAudiences(compact string) []string {
	parts := strings.Split(compact, ".")
	if len(compact) > longestToken || len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Audience == nil {
		return nil
	}
	return valuesOf(claims.Audience)
}
