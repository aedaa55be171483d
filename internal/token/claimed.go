package token

import "strings"

// Claimed returns the issuer and the signing key that an unverified token names, each empty if the token does not name it.
// Use them only to choose the issuer that verifies the token: they are not verified.
func Claimed(compact string) (issuer, kid string) {
	if !ThreeParts(compact) {
		return "", ""
	}
	parts := strings.Split(compact, ".")
	header, err := Segment(parts[0])
	if err != nil {
		return "", ""
	}
	payload, err := Segment(parts[1])
	if err != nil {
		return "", ""
	}
	issuer, _ = payload["iss"].(string)
	kid, _ = header["kid"].(string)
	return issuer, kid
}
