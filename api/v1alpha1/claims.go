package v1alpha1

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	kjson "sigs.k8s.io/json"
)

// The bounds of spec.claims.
const (
	// MaxClaims is the largest number of claims.
	MaxClaims = 32
	// MaxClaimsSize is the largest size of all claims, in bytes of canonical JSON.
	MaxClaimsSize = 4096
	// MaxClaimNumber is the largest number that every JSON library reads exactly.
	MaxClaimNumber = 1<<53 - 1
	// MinClaimNumber is the smallest positive number that is written without an exponent.
	MinClaimNumber = 1e-6
)

// registeredClaims are registered for JWTs, OAuth tokens or introspection responses.
// The admission policy in config/crd/admission contains the same list.
var registeredClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "azp", "act", "may_act", "nonce",
	"auth_time", "acr", "amr", "at_hash", "c_hash", "s_hash", "sid", "events", "status", "active", "token_type",
}

// maxClaimName is the longest name of a claim, in characters.
const maxClaimName = 64

var (
	claimName = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_.:/-]{1,%d}$`, maxClaimName))
	// printableName matches the names that an error message quotes.
	printableName = regexp.MustCompile(fmt.Sprintf(`^[ -~]{1,%d}$`, maxClaimName))
	// ownClaim matches refreshkeys.dev and names under it, also as a URL.
	ownClaim = regexp.MustCompile(`(?i)(^|[./:])refreshkeys[.]dev($|[./:])`)
)

// RegisteredClaim reports whether spec.claims cannot contain a name, in upper or lower case:
// registered names, and the operator's own under refreshkeys.dev.
func RegisteredClaim(name string) bool {
	return ownClaim.MatchString(name) || slices.ContainsFunc(registeredClaims, func(registered string) bool {
		return strings.EqualFold(name, registered)
	})
}

// ValidateClaims returns an error that says what is wrong with spec.claims and what to do, with the text of
// the admission policy. It enforces the policy's rules, and the exact limit of the size.
func ValidateClaims(claims map[string]apiextensionsv1.JSON) error {
	if len(claims) > MaxClaims {
		return fmt.Errorf("claims: at most %d names, not %d: remove some", MaxClaims, len(claims))
	}
	values := make(map[string]any, len(claims))
	folded := make(map[string]string, len(claims))
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if err := validateClaimName(name); err != nil {
			return err
		}
		lower := strings.ToLower(name)
		if other, taken := folded[lower]; taken {
			return fmt.Errorf("claims: '%s' and '%s' differ only in case, and some verifiers treat them as one name: rename one", other, name)
		}
		folded[lower] = name
		value, err := claimValue(name, claims[name].Raw)
		if err != nil {
			return err
		}
		values[name] = value
	}
	return validateClaimsSize(values)
}

func validateClaimName(name string) error {
	switch {
	case !claimName.MatchString(name):
		shown := "it"
		if printableName.MatchString(name) {
			shown = "'" + name + "'"
		}
		return fmt.Errorf("claims: a name must be 1 to %d of letters, digits and _ . : / -: rename %s", maxClaimName, shown)
	case RegisteredClaim(name):
		return fmt.Errorf("claims: the name '%s' is registered for JWTs or the operator's own: remove it or rename it", name)
	default:
		return nil
	}
}

func badClaimType(name string) error {
	return fmt.Errorf("claims: the value of '%s' must be a string, a number, a boolean or a list of strings: change or remove it", name)
}

func badClaimNumber(name string) error {
	return fmt.Errorf("claims: the number '%s' must be 0, or between %s and %d in size: write it as a string", name,
		strconv.FormatFloat(MinClaimNumber, 'f', -1, 64), MaxClaimNumber)
}

// claimValue parses the value of a claim, and returns an error for a value that no token can contain.
func claimValue(name string, raw []byte) (any, error) {
	var value any
	// As in the API server: a number is an int64 if possible, else a float64.
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &value); err != nil || !utf8.Valid(raw) {
		return nil, badClaimType(name)
	}
	switch value := value.(type) {
	case string, bool:
		return value, nil
	case int64:
		if value < -MaxClaimNumber || value > MaxClaimNumber {
			return nil, badClaimNumber(name)
		}
		return value, nil
	case float64:
		size := math.Abs(value)
		// Negative zero is refused: it is parsed as an integer the next time.
		if size > MaxClaimNumber || (size < MinClaimNumber && (size != 0 || math.Signbit(value))) {
			return nil, badClaimNumber(name)
		}
		return value, nil
	case []any:
		if slices.ContainsFunc(value, func(item any) bool { _, ok := item.(string); return !ok }) {
			return nil, badClaimType(name)
		}
		return value, nil
	default:
		return nil, badClaimType(name)
	}
}

func validateClaimsSize(values map[string]any) error {
	canonical, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("claims: %w: change or remove what cannot be written as JSON", err)
	}
	if len(canonical) > MaxClaimsSize {
		return fmt.Errorf("claims: names and values must not exceed %d bytes as JSON, and have %d: shorten or remove some", MaxClaimsSize, len(canonical))
	}
	return nil
}
