package identity

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ClaimedAudiences returns the unverified `aud` of a JWT. It may only choose the issuer that verifies the JWT.
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
