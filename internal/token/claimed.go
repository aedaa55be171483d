package token

import "strings"

// Claimed is what a token that is not verified says of itself: its issuer and the key that signed it, empty where it says
// neither. It may choose who is asked, and decides nothing.
func Claimed(compact string) (issuer, kid string) {
	if len(compact) > MaxLength || strings.Count(compact, ".") != 2 || strings.ContainsFunc(compact, outsideAlphabet) {
		return "", ""
	}
	parts := strings.Split(compact, ".")
	header, err := segment(parts[0])
	if err != nil {
		return "", ""
	}
	payload, err := segment(parts[1])
	if err != nil {
		return "", ""
	}
	issuer, _ = payload["iss"].(string)
	kid, _ = header["kid"].(string)
	return issuer, kid
}
