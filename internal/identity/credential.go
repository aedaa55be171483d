package identity

import "strings"

// Schemes of the Authorization header.
const (
	// bearerScheme is of RFC 6750 §2.1.
	bearerScheme = "Bearer"
	// dpopScheme is of RFC 9449 §7.1.
	dpopScheme = "DPoP"
)

// WellFormed reports whether a text can be a token of at most longestToken bytes: one or more characters of
// token68 (RFC 9110 §11.2, b64token in RFC 6750 §2.1), with = only at the end. Every token that is sent to a
// TokenReview or to a verifier must be well-formed. kube-apiserver reads only the text before a space, and reads
// an empty token as an anonymous request.
func WellFormed(token string) bool {
	body := strings.TrimRight(token, "=")
	return body != "" && len(token) <= longestToken && !strings.ContainsFunc(body, outsideToken68)
}

func outsideToken68(r rune) bool {
	switch {
	case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-._~+/", r)
	}
}

// Bearer parses the value of an Authorization header: the scheme Bearer, one space, and a token. asked reports
// whether the scheme is Bearer. The token is empty if it is malformed.
func Bearer(header string) (token string, asked bool) { return credential(header, bearerScheme) }

// DPoP is Bearer for the scheme DPoP.
func DPoP(header string) (token string, asked bool) { return credential(header, dpopScheme) }

func credential(header, of string) (token string, asked bool) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, of) {
		return "", false
	}
	if !WellFormed(token) {
		return "", true
	}
	return token, true
}
