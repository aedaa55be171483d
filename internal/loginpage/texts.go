package loginpage

import "golang.org/x/text/language"

// Failure is why a try to sign in failed.
type Failure string

// The failures. The answer never says whether the user name or the password was wrong.
const (
	WrongPassword Failure = "WrongPassword"
	TooManyTries  Failure = "TooManyTries"
	MissingEntry  Failure = "MissingEntry"
	// ProviderRefused is of a provider that did not sign the person in, or of an answer that does not prove who the person is.
	ProviderRefused Failure = "ProviderRefused"
	// ProviderAway is of a provider that does not answer.
	ProviderAway Failure = "ProviderAway"
	// WrongCode is of a code of a device that the service did not make, or made too long ago.
	WrongCode Failure = "WrongCode"
)

// Reason is why a sign-in cannot go on.
type Reason string

// The reasons.
const (
	// Expired is of a step that took too long, or that was begun in another browser.
	Expired Reason = "Expired"
	// BadRequest is of an application that is not known, or that asks for an address to return to which is not its own.
	BadRequest Reason = "BadRequest"
	// OtherSite is of a form that another site sent.
	OtherSite Reason = "OtherSite"
	// Unavailable is of a service that cannot decide now.
	Unavailable Reason = "Unavailable"
	// Internal is of a fault of the service.
	Internal Reason = "Internal"
)

// Texts are the texts of one language.
type Texts struct {
	SignIn, To, User, Password, Continue string
	Or, GoTo                             string
	Allow, AllowQuestion, SignedInAs     string
	For, Permissions, Yes, No            string
	AfterThat, Details                   string
	Failures                             map[Failure]string
	Problems                             map[Reason]Said

	// The texts of the pages for devices. YourDevice stands where the name of an application does.
	YourDevice, ConnectDevice, EnterCode, CodeLabel, Next        string
	DeviceQuestion, DeviceAddress, UnknownAddress, DeviceWarning string
	Ends                                                         map[End]Said
}

// Said is what a page says about a problem, and what the person can do.
type Said struct{ Heading, Advice string }

// languages are those of the catalogue. The first one is for all others.
var languages = []language.Tag{language.English, language.German, language.French}

var matcher = language.NewMatcher(languages)

// textsFor returns the texts for an Accept-Language header (RFC 9110 §12.5.4), and their language.
func textsFor(header string) (*Texts, string) {
	preferred, _, err := language.ParseAcceptLanguage(header)
	at := 0
	if err == nil && len(preferred) > 0 {
		_, at, _ = matcher.Match(preferred...)
	}
	return &catalogue[at], languages[at].String()
}
